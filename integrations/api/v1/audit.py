"""Who did what to which object, when and from where; secrets are never in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from integrations.api.caller import allowed_tenants, one
from integrations.api.schemas import Moment
from integrations.audit.search import names_one, narrow
from integrations.audit.trail import AuditEntry
from integrations.database.first_key import keys_between
from integrations.tenancy.capabilities import Capability

from .document import WHEN, example
from .paging import Before, Limit, SearchedPage, page_of
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
    its = one(request, integration, Capability.AUDIT).pk if integration is not None else None
    rows = narrow(
        AuditEntry.objects.filter(tenant_key__in=keys),
        actor=actor,
        action=action,
        source=source,
        about=object,
        integration=its,
        since=since,
        until=until,
    )
    # An index has the entries of one tenant, integration or object in this order; the rest is looked for.
    has_index = names_one(object) or (not object and (its is not None or len(keys) == 1))
    is_sparse = bool(action or actor or source) or not has_index
    among = keys_between(AuditEntry, since, until)
    return page_of(request, rows, _shown, limit=limit, before=before, is_sparse=is_sparse, keys=among)


def _shown(entry: AuditEntry) -> dict[str, Any]:
    names = ("created_at", "actor", "source", "address", "action", "object_type", "object_key", "object_name")
    more = ("integration_name", "changes", "details")
    return {"id": entry.pk, **{name: getattr(entry, name) for name in (*names, *more)}}
