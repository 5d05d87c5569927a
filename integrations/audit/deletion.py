"""The line in the log that says who deleted an integration or a tenant."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from integrations.connections.models import TenantIntegration
from tenants.models import Tenant

from .models import ExecutionLog


def log_deletion(sender: type, pks: list[Any], using: str, actor: str = "system", **_: Any) -> None:
    """Leave one line for each integration that is being deleted, and one for each tenant."""
    mine = Q(tenant__in=pks) if sender is Tenant else Q(pk__in=pks)
    integrations = TenantIntegration.unannounced.using(using).filter(mine)
    rows = [
        ExecutionLog(integration=integration, action="delete", actor=actor)
        for integration in integrations.select_related("tenant").order_by("pk")
    ]
    if sender is Tenant:
        tenants = Tenant.objects.using(using).filter(pk__in=pks).order_by("pk")
        rows += [
            ExecutionLog(tenant_id=pk, tenant_name=name, action="delete", actor=actor)
            for pk, name in tenants.values_list("pk", "name")
        ]
    ExecutionLog.objects.using(using).bulk_create(rows)
