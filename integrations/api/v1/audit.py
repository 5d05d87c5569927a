"""Who did what to which object, when and from where; secrets are never in it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from integrations.api.caller import allowed_tenants, one
from integrations.api.schemas import Moment
from integrations.audit.trail import AuditEntry
from integrations.database.first_key import first_key
from integrations.database.stretches import MAX_KEY
from integrations.tenancy.capabilities import Capability

from .document import WHEN, example
from .paging import Before, Limit, SearchedPage, page_of
from .problems import ROW_PROBLEMS

router = Router(tags=["Audit"])
SLACK = timedelta(minutes=1)  # ids and times may be out of step by a transaction


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


class AuditPage(SearchedPage):
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
    """List what was done for your tenants, newest first. No search reads the whole trail: where a page is not full
    because only so many ids were looked at, `looked_at` says it, and `next` goes on from there."""
    keys = [str(tenant.pk) for tenant in allowed_tenants(request, Capability.AUDIT)]
    rows = AuditEntry.objects.filter(tenant_key__in=keys)
    if integration is not None:
        rows = rows.filter(integration_key=one(request, integration, Capability.AUDIT).pk)
    kind, colon, key = object.partition(":")
    is_of_one = bool(colon and "." in kind)
    if is_of_one:
        rows = rows.filter(object_type=kind, object_key=key)
    elif object:
        rows = rows.filter(object_name__icontains=object)
    said = {"action": action, "actor": actor, "source": source}
    rows = rows.filter(**{name: value for name, value in said.items() if value})
    times = {"created_at__gte": since, "created_at__lt": until}
    rows = rows.filter(**{name: value for name, value in times.items() if value is not None})
    # An index has the entries of one tenant, integration or object in this order; the rest is looked for.
    is_sparse = any(said.values()) or bool(object and not is_of_one)
    is_sparse = is_sparse or not (is_of_one or integration is not None or len(keys) == 1)
    among = (
        first_key(AuditEntry, since - SLACK) if since is not None else 0,
        first_key(AuditEntry, until + SLACK) if until is not None else MAX_KEY,
    )
    return page_of(request, rows, _shown, limit=limit, before=before, is_sparse=is_sparse, keys=among)


def _shown(entry: AuditEntry) -> dict[str, Any]:
    names = ("created_at", "actor", "source", "address", "action", "object_type", "object_key", "object_name")
    more = ("integration_name", "changes", "details")
    return {"id": entry.pk, **{name: getattr(entry, name) for name in (*names, *more)}}
