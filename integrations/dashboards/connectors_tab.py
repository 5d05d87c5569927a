"""The connectors' dashboard: authentication, breakers, rate limits and error rates of all integrations on one page.

``/dashboards/connectors/``, for staff; everybody sees the integrations of their own tenants. The button that resets a
breaker is the admin's own ("Resume"), with its permission and its line in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from integrations.admin.pages.links import page_url
from integrations.admin.widgets.assets import Assets
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.display import NOTHING, Badge, clock, when
from integrations.errors import UnknownConnector
from integrations.label import permission
from integrations.services.status import MAX_LISTED, Status, overall, statuses
from integrations.tenancy.scope import tenants_of

AUTH = {
    "ok": ("ok", "✓ Accepted"),
    "unproven": ("off", "○ Not tried"),
    "not-connected": ("warn", "○ Not connected yet"),
    "refused": ("warn", "⚠ Refused"),
    "disabled": ("bad", "✗ Refused"),
    "overdue": ("warn", "⚠ Overdue"),
}
BREAKERS = {"closed": ("ok", "✓ Closed"), "half-open": ("warn", "⚠ Probing"), "open": ("bad", "✗ Open")}
SHOWN = ("all", "failing", "overdue")


@dataclass(frozen=True, slots=True)
class Row:
    """One integration as the table shows it."""

    status: Status
    may_change: bool

    @property
    def state(self) -> Badge:
        return Badge(self.status.kind, self.status.label, self.status.reason)

    @property
    def auth(self) -> Badge:
        return Badge(*AUTH[self.status.auth])  # type: ignore[arg-type]

    @property
    def auth_words(self) -> str:
        parts = []
        if (failures := self.status.auth_failures) and self.status.auth in ("refused", "disabled"):
            parts.append(f"{failures} refusal{'s' if failures > 1 else ''} in a row")
        if (days := self.status.credentials_age_days) is not None:
            since = f"{days} days ago" if days > 1 else "yesterday" if days else "today"
            parts.append(f"credentials changed {since}")
        return ", ".join(parts)

    @property
    def breaker(self) -> Badge:
        return Badge(*BREAKERS[self.status.breaker])  # type: ignore[arg-type]

    @property
    def breaker_words(self) -> str:
        status = self.status
        parts = []
        if status.breaker_failures:
            parts.append(f"{status.breaker_failures} failure{'s' if status.breaker_failures > 1 else ''} in a row")
        if status.breaker_opened_at:
            parts.append(f"open since {clock(status.breaker_opened_at)}")
        if status.next_probe_at:
            parts.append(f"next probe {clock(status.next_probe_at)}")
        return ", ".join(parts)

    @property
    def limit(self) -> str:
        if not self.status.rate_limit_per_minute:
            return NOTHING
        wait = f", next at {clock(self.status.next_send_at)}" if self.status.next_send_at else ""
        return f"{self.status.rate_limit_per_minute} a minute{wait}"

    @property
    def errors(self) -> str:
        return per_cent(self.status.error_rate)

    @property
    def last_success(self) -> Any:
        return when(self.status.last_success_at)

    @property
    def can_reset(self) -> bool:
        return self.may_change and self.status.state not in ("disabled", "off", "deleting") and self.status.is_failing

    @property
    def url(self) -> str:
        return page_url("tenantintegration", "change", self.status.pk)

    @property
    def reset_url(self) -> str:
        return page_url("tenantintegration", "resume", self.status.pk)


@dataclass(frozen=True, slots=True)
class Kind:
    """All integrations of one kind of system, in figures of the last hour."""

    label: str
    family: str
    count: int
    failing: int
    calls: int
    errors: str
    mean: str


def per_cent(part: float | None) -> str:
    """Return ``12 %``, ``0.4 %``, or a dash if there is nothing to tell."""
    if part is None:
        return NOTHING
    value = part * 100
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def kinds(found: Iterable[Status]) -> list[Kind]:
    """Return the figures per kind of connector, sorted by name."""
    groups: dict[str, list[Status]] = {}
    for status in found:
        groups.setdefault(status.connector, []).append(status)
    return sorted((_kind(key, group) for key, group in groups.items()), key=lambda kind: kind.label.lower())


def _kind(key: str, group: list[Status]) -> Kind:
    try:
        label = ConnectorRegistry.type_of(key).manifest.label
    except UnknownConnector:
        label = f"{key} (not installed)"
    calls = sum(status.calls for status in group)
    failed = sum(status.calls * (status.error_rate or 0) for status in group)
    total_ms = sum(status.calls * (status.mean_ms or 0) for status in group)
    return Kind(
        label=label,
        family=group[0].family,
        count=len(group),
        failing=sum(status.is_failing for status in group),
        calls=calls,
        errors=per_cent(failed / calls if calls else None),
        mean=f"{total_ms / calls:.0f} ms" if calls else NOTHING,
    )


def connectors_tab(request: HttpRequest) -> HttpResponse:
    """Draw the page; ``?show=failing`` and ``?show=overdue`` narrow the table."""
    if not request.user.has_perm(permission("view", "tenantintegration")):
        raise PermissionDenied
    found = statuses(TenantIntegration.objects.filter(tenant__in=tenants_of(request.user)))
    show = request.GET.get("show", "all")
    wanted = [
        status
        for status in found
        if show not in SHOWN
        or show == "all"
        or (show == "failing" and status.is_failing)
        or (show == "overdue" and status.auth == "overdue")
    ]
    may_change = request.user.has_perm(permission("change", "tenantintegration"))
    context = {
        **admin.site.each_context(request),
        "title": "Connectors",
        "overall": overall(found),
        "kinds": kinds(found),
        "rows": [Row(status, may_change) for status in wanted],
        "show": show if show in SHOWN else "all",
        "counts": {
            "all": len(found),
            "failing": sum(status.is_failing for status in found),
            "overdue": sum(status.auth == "overdue" for status in found),
        },
        "is_cut": len(found) >= MAX_LISTED,
        "assets": Assets,
    }
    return TemplateResponse(request, "admin/integrations/connectors_tab.html", context)


urlpatterns = [path("dashboards/connectors/", admin.site.admin_view(connectors_tab), name="connectors-tab")]
