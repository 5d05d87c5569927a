"""Who did what to which object, when and from where; secrets are never in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from integrations.api.schemas import Moment
from integrations.api.scope import allowed_tenants, one
from integrations.audit.trail import AuditEntry
from integrations.tenancy.capabilities import Capability

from .examples import WHEN, example
from .paging import Before, Limit, Page, page_of
from .problems import ROW_PROBLEMS

router = Router(tags=["Audit"])


class AuditOut(Schema):
    """One entry of the audit trail."""

    model_config = example(
        {
            "id": 97,
            "created_at": WHEN,
            "actor": "API key nightly",
            "source": "api",
            "address": "203.0.113.7",
            "action": "changed",
            "object_type": "integrations.tenantintegration",
            "object_key": "12",
            "object_name": "Our n8n",
            "integration_name": "Our n8n",
            "changes": {"max_attempts": [None, 20], "credentials": "changed"},
            "details": {},
        }
    )

    id: int
    created_at: datetime
    actor: str
    source: str
    address: str | None
    action: str
    object_type: str
    object_key: str
    object_name: str
    integration_name: str
    changes: Any = Field(description="{field: [old, new]}; of a secret only that it changed")
    details: Any


class AuditPage(Page):
    data: list[AuditOut]


@router.get("", response={200: AuditPage, **ROW_PROBLEMS}, summary="List who did what")
def audit(
    request: HttpRequest,
    action: Annotated[str, Query(max_length=60, description="created, changed, paused, rotated, …")] = "",
    actor: Annotated[str, Query(max_length=150, description="a user name, or “API key <name>”")] = "",
    source: Annotated[Literal["", "form", "console", "api", "command", "task", "system"], Query()] = "",
    object: Annotated[str, Query(max_length=255, description="tasks.workitem:42, or part of a name")] = "",
    integration: UUID | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = 50,
    before: Before = None,
) -> Any:
    """List what was done for your tenants, newest first."""
    keys = [str(tenant.pk) for tenant in allowed_tenants(request, Capability.AUDIT)]
    rows = AuditEntry.objects.filter(tenant_key__in=keys)
    if integration is not None:
        rows = rows.filter(integration_key=one(request, integration, Capability.AUDIT).pk)
    kind, colon, key = object.partition(":")
    if colon and "." in kind:
        rows = rows.filter(object_type=kind, object_key=key)
    elif object:
        rows = rows.filter(object_name__icontains=object)
    said = {"action": action, "actor": actor, "source": source}
    rows = rows.filter(**{name: value for name, value in said.items() if value})
    times = {"created_at__gte": since, "created_at__lt": until}
    rows = rows.filter(**{name: value for name, value in times.items() if value is not None})
    return page_of(request, rows, _shown, limit=limit, before=before)


def _shown(entry: AuditEntry) -> dict[str, Any]:
    names = ("created_at", "actor", "source", "address", "action", "object_type", "object_key", "object_name")
    more = ("integration_name", "changes", "details")
    return {"id": entry.pk, **{name: getattr(entry, name) for name in (*names, *more)}}
