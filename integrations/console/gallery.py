"""What there is to connect: every connector type, by what it is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from integrations.connections.access import usable_by
from integrations.connectors.gallery import CATEGORIES, category_of, needs_of
from integrations.connectors.manifest import Manifest
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.tenancy.capabilities import Capability

_ORDER = list(CATEGORIES)


@dataclass(frozen=True, slots=True)
class Offered:
    """One connector type as the gallery shows it."""

    manifest: Manifest
    category: str
    needs: tuple[str, ...]
    does: str
    url: str


@page(Capability.ADD)
def gallery(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the types that the person may use, found by words and by category."""
    words = request.GET.get("q", "")[:100].lower().split()
    wanted = request.GET.get("category", "")[:50]
    every = [_offered(manifest) for manifest in usable_by(access.user, access.tenant)]
    chosen = [each for each in every if wanted in ("", each.category) and _has(each, words)]
    context = {
        "types": sorted(chosen, key=_place),
        "categories": list(dict.fromkeys(each.category for each in sorted(every, key=_place))),
        "category": wanted,
        "q": request.GET.get("q", "")[:100],
    }
    return show(request, access, "gallery.html", context)


def _offered(manifest: Manifest) -> Offered:
    is_only_read = not manifest.takes_events
    does = _("It is read from or called; no events go there.") if is_only_read else ""
    if manifest.oauth is not None and manifest.oauth.grant == "authorization_code":
        does = " ".join(filter(None, (does, _("You connect it by signing in there."))))
    url = reverse("console:setup", args=[manifest.key])
    return Offered(manifest, category_of(manifest), needs_of(manifest), does, url)


def _has(offered: Offered, words: Iterable[str]) -> bool:
    manifest = offered.manifest
    text = f"{manifest.label} {manifest.key} {manifest.description} {manifest.family} {offered.category}".lower()
    return all(word in text for word in words)


def _place(offered: Offered) -> tuple[int, str, str]:
    """Return where it stands: by category, in their order, then by name."""
    family = offered.manifest.family
    known = _ORDER.index(family) if family in _ORDER else len(_ORDER)
    return known, offered.category, offered.manifest.label.lower()
