"""The entries at the side of every page. One whose page is not installed is left out."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

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
    ("Overview", "overview", "overview", Role.VIEWER),
    ("Integrations", "integrations", "integrations", Role.VIEWER),
    ("Deliveries", "deliveries", "deliveries", Role.VIEWER),
    ("Events", "events", "events", Role.VIEWER),
    ("Event types", "event-types", "catalogue", Role.VIEWER),
    ("Jobs", "jobs", "jobs", Role.VIEWER),
    ("", "", "", Role.VIEWER),
    ("Inbound", "inbound", "inbound", Role.VIEWER),
    ("Pulls", "pulls", "pulls", Role.VIEWER),
    ("Pushes", "pushes", "pushes", Role.VIEWER),
    ("", "", "", Role.VIEWER),
    ("People", "people", "people", Role.VIEWER),
    ("Keys", "keys", "keys", Capability.KEYS),
    ("Secrets", "secrets", "lock", Capability.SECRETS),
    ("Audit", "audit", "audit", Capability.AUDIT),
)
_FOR_OPERATORS = (("System", "system", "system"),)


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
    found.append(Entry(title, url, icon, is_current))
