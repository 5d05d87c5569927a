"""The line in the log that says who deleted an integration or a tenant."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from integrations.connections.models import TenantIntegration
from integrations.tenancy.tenant import is_tenant, name_of, tenant_model

from .models import ExecutionLog


def log_deletion(sender: type[models.Model], pks: list[Any], using: str, actor: str = "system", **_: Any) -> None:
    """Leave one line for each integration that is being deleted, and one for each tenant."""
    mine = Q(tenant__in=pks) if is_tenant(sender) else Q(pk__in=pks)
    integrations = TenantIntegration.unannounced.using(using).filter(mine)
    rows = [
        ExecutionLog(integration=integration, action="delete", actor=actor)
        for integration in integrations.select_related("tenant").order_by("pk")
    ]
    if is_tenant(sender):
        tenants = tenant_model()._base_manager.using(using).filter(pk__in=pks).order_by("pk")
        rows += [
            ExecutionLog(tenant_id=tenant.pk, tenant_name=name_of(tenant), action="delete", actor=actor)
            for tenant in tenants
        ]
    ExecutionLog.objects.using(using).bulk_create(rows)
