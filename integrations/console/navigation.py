"""The entries at the side of every page. One whose page is not installed is left out."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role

from .access import Access, Needed


@dataclass(frozen=True, slots=True)
class Entry:
    """One link at the side.

    Attributes:
        icon: the name of a symbol in ``icons.svg``.
        is_current: the page that is shown is this one, or below it.
    """

    title: str
    url: str
    icon: str
    is_current: bool


# Title, name of the url, icon, what it takes. "" begins a new group.
_ENTRIES: tuple[tuple[str, str, str, Needed], ...] = (
    (gettext_noop("Overview"), "overview", "overview", Role.VIEWER),
    (gettext_noop("Integrations"), "integrations", "integrations", Role.VIEWER),
    (gettext_noop("Deliveries"), "deliveries", "deliveries", Role.VIEWER),
    (gettext_noop("Events"), "events", "events", Role.VIEWER),
    (gettext_noop("Event types"), "event-types", "catalogue", Role.VIEWER),
    (gettext_noop("Jobs"), "jobs", "jobs", Role.VIEWER),
    ("", "", "", Role.VIEWER),
    (gettext_noop("Inbound"), "inbound", "inbound", Role.VIEWER),
    (gettext_noop("Pulls"), "pulls", "pulls", Role.VIEWER),
    (gettext_noop("Pushes"), "pushes", "pushes", Role.VIEWER),
    ("", "", "", Role.VIEWER),
    (gettext_noop("People"), "people", "people", Role.VIEWER),
    (gettext_noop("Keys"), "keys", "keys", Capability.KEYS),
    (gettext_noop("Secrets"), "secrets", "lock", Capability.SECRETS),
    (gettext_noop("Audit"), "audit", "audit", Capability.AUDIT),
)
_FOR_OPERATORS = ((gettext_noop("System"), "system", "system"),)


def entries(request: HttpRequest, access: Access) -> list[Entry | None]:
    """Return the links that this person may follow; None between two groups."""
    found: list[Entry | None] = []
    for title, name, icon, needed in _ENTRIES:
        if not title:
            found.append(None)
        elif access.may_here(needed):
            _add(found, request, title, name, icon)
    if access.is_operator:
        for title, name, icon in _FOR_OPERATORS:
            _add(found, request, title, name, icon)
    return found


def _add(found: list[Entry | None], request: HttpRequest, title: str, name: str, icon: str) -> None:
    try:
        url = reverse(f"console:{name}")
    except NoReverseMatch:
        return
    home = reverse("console:overview")
    is_current = request.path == url if url == home else request.path.startswith(url)
    found.append(Entry(_(title), url, icon, is_current))
