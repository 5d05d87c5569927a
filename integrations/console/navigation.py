"""The entries at the side of every page."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role

from .access import Access, Needed


@dataclass(frozen=True, slots=True)
class Entry:
    """One link at the side.

    Attributes:
        icon: the name of a symbol in ``templatetags/console.py``.
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


def entries(request: HttpRequest, access: Access) -> list[Entry | None]:
    """Return the links that this person may follow; None between two groups."""
    found = [
        _entry(request, title, name, icon) if title else None
        for title, name, icon, needed in _ENTRIES
        if not title or access.may_here(needed)
    ]
    return [*found, _entry(request, gettext_noop("System"), "system", "system")] if access.is_operator else found


def _entry(request: HttpRequest, title: str, name: str, icon: str) -> Entry:
    url = reverse(f"console:{name}")
    is_current = request.path == url if name == "overview" else request.path.startswith(url)
    return Entry(_(title), url, icon, is_current)
