"""Every page of the console, with rows to open it for: for load, pictures, and tests of all pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import QuerySet
from django.urls import URLPattern, reverse

from integrations.audit.trail import AuditEntry
from integrations.console.urls import urlpatterns
from integrations.erp.push_log import ERPPushLog
from integrations.label import app_label
from integrations.models import IntegrationEvent, IntegrationSync, SyncState, TenantIntegration, WebhookEvent

# What people look for, beside the first page of a list; much of it is not to be found.
SOUGHT = {
    "audit": (
        "who=scale-7",
        "action=retried",
        "object=Destination",
        "object=nothing+like+it",
        "who=nobody+like+that",
        "source=api&action=resumed",
    ),
    "deliveries": (
        "status=failed",
        "status=pending",
        "error=did+not+answer",
        "response_status=503",
        "tenant=nothing",
        "event_type=workitem_updated",
        "event_type=workitem_deleted",
        "error=nothing+like+it",
        "response_status=418",
        "object=nothing+like+it",
        "status=failed&error=nothing+like+it",
        "status=cancelled&response_status=5xx",
        "event_type=workitem_deleted&since=7d",
    ),
    "events": ("type=workitem_updated", "type=workitem_deleted", "object=17", "object=nothing", "key=nothing"),
    "inbound": ("state=failed", "state=rejected", "state=duplicate", "key=nothing"),
    "integrations": ("health=failing", "health=part", "sort=last", "sort=name&page=9", "q=Destination+7", "q=nothing"),
    "job-new": (
        "kind=backfill",
        "kind=replay&show=1&tenant={tenant}&status=failed&since=24h&pace=10",
        "kind=replay&show=1&tenant={tenant}&error=nothing+like+it&pace=10",
    ),
    "overview": ("range=7d", "range=30d"),
    "pulls": ("state=failed",),
    "pushes": ("state=FAILED", "order=nothing"),
}
NO_PAGE = {"sign-in", "sign-out", "tenant", "integration-event-try"}  # forms of the frame


@dataclass(frozen=True, slots=True)
class Page:
    """One address, and the name of its page."""

    name: str
    url: str

    def sought(self, tenant: Any) -> Iterator[tuple[str, str]]:
        """Yield (query, address) of what people look for on it."""
        for query in (each.format(tenant=tenant.pk) for each in SOUGHT.get(self.name, ())):
            yield query, f"{self.url}?{query}"


def pages(tenant: Any) -> Iterator[Page]:
    """Yield every page of the console, those of one row with rows of `tenant`; a page without rows is left out.

    Pages that only take a POST are among them: they answer 405.
    """
    for pattern in urlpatterns:
        if not isinstance(pattern, URLPattern) or pattern.name is None or pattern.name in NO_PAGE:
            continue
        arguments: dict[str, Any] = {}
        for name in pattern.pattern.converters:
            arguments[name] = _sample(str(pattern.pattern).partition("/")[0], name, tenant)
        if None not in arguments.values():
            yield Page(pattern.name, reverse(f"console:{pattern.name}", kwargs=arguments))


def _sample(segment: str, name: str, tenant: Any) -> Any:
    """Return what stands in an address of `segment` for its argument `name`, None if there is nothing."""
    if name in ("type", "kind", "connector_type") or (segment, name) == ("integrations", "key"):
        return "webhook"
    if name == "event_type" or (segment, name) == ("event-types", "name"):
        return "workitem_created"
    if segment == "objects":
        column = {"content_type": "content_type", "object_id": "object_id"}.get(name, "pk")
        return IntegrationEvent.objects.filter(tenant=tenant).order_by("-pk").values_list(column, flat=True).first()
    if segment == "people":
        return tenant.membership_set.values_list("user", flat=True).first()
    find = _ROWS.get(segment)
    rows = find(tenant) if find is not None else None
    if rows is None:
        return None
    column = "public_id" if rows.model is TenantIntegration and name != "pk" else "pk"
    return rows.values_list(column, flat=True).first()


def _integrations(tenant: Any) -> QuerySet[Any]:
    """Return the tenant's integrations, one with much history first."""
    return TenantIntegration.objects.filter(tenant=tenant, integration_type="webhook").order_by(
        "-lane__delivered_count"
    )


def _of(model: str, path: str) -> Callable[[Any], QuerySet[Any] | None]:
    """Return who finds rows of a model of ours, if there is such a model."""

    def find(tenant: Any) -> QuerySet[Any] | None:
        try:
            found = apps.get_model(app_label(), model)
        except LookupError:
            return None
        return found._default_manager.filter(**{path: tenant}).order_by("-pk")

    return find


_ROWS: dict[str, Callable[[Any], QuerySet[Any] | None]] = {
    "integrations": _integrations,
    "deliveries": lambda tenant: IntegrationSync.objects.filter(integration__in=_integrations(tenant)[:1]).order_by(
        "-pk"
    ),
    "events": lambda tenant: IntegrationEvent.objects.filter(tenant=tenant).order_by("-pk"),
    "inbound": lambda tenant: WebhookEvent.objects.filter(connection__tenant=tenant).order_by("-pk"),
    "pulls": lambda tenant: SyncState.objects.filter(connection__tenant=tenant).order_by("-pk"),
    "pushes": lambda tenant: ERPPushLog.objects.filter(integration__tenant=tenant).order_by("-pk"),
    "jobs": _of("Job", "tenant"),
    "keys": _of("APIKey", "tenant"),
    "audit": lambda tenant: AuditEntry.objects.filter(tenant_key=str(tenant.pk)).order_by("-pk"),
}
