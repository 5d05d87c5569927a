"""Who did what to which object, when and from where; secrets are never in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from integrations.api.scope import allowed_tenants
from integrations.audit.trail import AuditEntry
from integrations.tenancy.capabilities import Capability

from .paging import Before, Limit, Page, page_of
from .problems import PROBLEMS

router = Router(tags=["Audit"])


class AuditOut(Schema):
    """One entry of the audit trail.

    Attributes:
        changes: {field: [old, new]}; of a secret only that it changed.
    """

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
    changes: Any
    details: Any


class AuditPage(Page):
    data: list[AuditOut]


@router.get("", response={200: AuditPage, **PROBLEMS}, summary="List what people did")
def audit(request: HttpRequest, action: str = "", actor: str = "", limit: Limit = 50, before: Before = None) -> Any:
    """List what was done for your tenants, newest first."""
    keys = [str(tenant.pk) for tenant in allowed_tenants(request, Capability.AUDIT)]
    rows = AuditEntry.objects.filter(tenant_key__in=keys)
    if action:
        rows = rows.filter(action=action)
    if actor:
        rows = rows.filter(actor=actor)
    return page_of(request, rows, _shown, limit=limit, before=before)


def _shown(entry: AuditEntry) -> dict[str, Any]:
    names = ("created_at", "actor", "source", "address", "action", "object_type", "object_key", "object_name")
    more = ("integration_name", "changes", "details")
    return {"id": entry.pk, **{name: getattr(entry, name) for name in (*names, *more)}}
