"""`ERPConnection`: a tenant's ERP, under the names of the table ``erp_connection`` (compat/erp.py).

A proxy of `TenantIntegration`, restricted to connectors of the family ``erp``: the same row, lane, switches and
encryption. `last_test_at` is the time of the last test that succeeded.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from django.db import IntegrityError, models
from django.db.models import Q

from integrations import conf
from integrations.compat.erp import CONNECTION_STATUS, ConnectionNames, RenamedConnectionColumns
from integrations.connections import health
from integrations.connections.binding import bind, settings_of
from integrations.connections.models import TenantIntegration, TenantIntegrationQuerySet
from integrations.connections.settings import apply_settings, settings_to_edit
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check, doubts
from integrations.connectors.port import Client, TestResult
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.errors import ConfigurationError

logger = logging.getLogger("integrations.erp")

FAMILY = "erp"


# Fields of the model, so that the constructor sets them before any property: a secret is bound to its tenant and sorted
# by its connector.
_COLUMNS = {"org_id": "tenant_id", "connector_type": "integration_type"}


def connector_types() -> list[str]:
    """Return the registered kinds of ERP."""
    return [manifest.key for manifest in manifests(FAMILY)]


class ERPConnectionQuerySet(RenamedConnectionColumns, TenantIntegrationQuerySet):
    """Finds ERP connections."""

    renamed: ClassVar = {**TenantIntegrationQuerySet.renamed, **RenamedConnectionColumns.renamed}


class ERPConnectionManager(models.Manager.from_queryset(ERPConnectionQuerySet)):  # type: ignore[misc]
    def get_queryset(self) -> Any:
        queryset = super().get_queryset().filter(integration_type__in=connector_types())
        return queryset.alias(connection_status=CONNECTION_STATUS)


class ERPConnection(ConnectionNames, TenantIntegration):
    """One tenant's ERP. A tenant has one active one, unless SEVERAL_ACTIVE says otherwise."""

    objects = ERPConnectionManager()  # type: ignore[misc]

    class Meta:
        proxy = True
        base_manager_name = "unannounced"  # a row is found again even if nobody knows its connector any more
        default_permissions = ()
        verbose_name = "ERP connection"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "connector_type" in kwargs:
            check_type(kwargs["connector_type"])
            manifest = ConnectorRegistry.type_of(kwargs["connector_type"]).manifest
            kwargs = {"name": manifest.label, "is_signed": manifest.signs, **kwargs}
        super().__init__(*args, **{_COLUMNS.get(name, name): value for name, value in kwargs.items()})

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a second active ERP of the tenant is refused with a sentence."""
        try:
            super().save(*args, **kwargs)
        except IntegrityError as error:
            is_second = "one_active_of_group" in str(error) or "exclusive_group" in str(error)
            if not is_second:
                raise
        else:
            return
        raise IntegrityError(
            "the tenant has an active ERP connection already; set that one to DISABLED first (or allow several: the "
            "setting SEVERAL_ACTIVE)"
        )

    def set_type(self, connector_type: str) -> None:
        """Choose the connector; a ValueError if it is no registered ERP."""
        check_type(connector_type)
        self.integration_type = connector_type

    def get_config(self) -> dict[str, Any]:
        """Return all settings, secrets included."""
        return settings_of(self)

    def set_config(self, config: dict[str, Any]) -> None:
        """Take over `config`; what the manifest calls secret is encrypted at once.

        Raises:
            ConfigurationError: a field is missing, wrong or unknown: an unknown one might be a secret, and would
                be stored as if it were none.
        """
        manifest = ConnectorRegistry.type_of(self.integration_type).manifest
        clean, problems = check(manifest, config)
        if problems := problems or doubts(manifest, clean, settings_to_edit(self)):
            raise ConfigurationError(problems)
        logger.debug("Connector type: %s, config has %s fields", self.integration_type, len(config))
        apply_settings(self, {name: value for name, value in clean.items() if name in config})

    def test_connection(self, client: Client | None = None) -> TestResult:
        """Try the stored configuration without exporting anything; never raises.

        Remembers whether it worked, and when it last did: a failure leaves `last_test_at` alone.
        """
        try:
            connector = bind(self, client, timeout=conf.TEST_TIMEOUT_SECONDS)
            if type(connector).test_connection is BaseConnector.test_connection:
                result = connector.health_check()
            else:
                result = connector.test_connection(dict(connector.settings))
        except Exception as error:  # a connector of others, which promised not to raise
            result = BaseConnector().failed_test(error, 0)
        health.record_test(self, result)
        return result


def check_type(value: str) -> None:
    if value not in connector_types():
        raise ValueError(f"Invalid connector_type: {str(value)[:50]}")


def active_connections(org_id: Any) -> models.QuerySet[ERPConnection]:
    """Return the tenant's ERPs that take orders; those that *we* disabled do: their rows wait."""
    return ERPConnection.objects.filter(Q(tenant_id=org_id, is_active=True)).order_by("id")
