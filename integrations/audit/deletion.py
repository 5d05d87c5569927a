"""The entry in the audit trail that says who deleted an integration or a tenant."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from integrations.acting import NOBODY
from integrations.connections.models import TenantIntegration
from integrations.tenancy.tenant import is_tenant, tenant_model

from .trail import DELETED, AuditEntry, entry_of


def note_deletion(sender: type[models.Model], pks: list[Any], using: str, actor: str = NOBODY, **_: Any) -> None:
    """Write one entry for each integration that is being deleted, and one for each tenant."""
    mine = Q(tenant__in=pks) if is_tenant(sender) else Q(pk__in=pks)
    integrations = TenantIntegration.unannounced.using(using).filter(mine)
    gone: list[models.Model] = list(integrations.select_related("tenant").order_by("pk"))
    if is_tenant(sender):
        gone += tenant_model()._base_manager.using(using).filter(pk__in=pks).order_by("pk")
    named = None if actor == NOBODY else actor  # else who acts now
    AuditEntry.objects.using(using).bulk_create([entry_of(DELETED, obj, actor=named) for obj in gone], batch_size=500)
