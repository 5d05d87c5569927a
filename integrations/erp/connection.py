"""``ERPConnection``: a tenant's ERP as the guide's table ``erp_connection`` has it (S2-29).

A proxy of `TenantIntegration`, restricted to connectors of the family ``erp``: the same row, lane, switches and
encryption, under the guide's names.

    org_id            tenant_id
    connector_type    integration_type
    config_encrypted  all settings in one, in the layout of ``EncryptionService.encrypt_config``; stored field by field
    status            ACTIVE: on by the tenant's switch and by ours; else DISABLED
    last_test_at      of the last test that succeeded
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.db import IntegrityError, models
from django.db.models import Case, Q, Value, When

from integrations import conf
from integrations.connections import health
from integrations.connections.binding import bind, settings_of
from integrations.connections.edited_settings import apply_settings, settings_to_edit
from integrations.connections.models import TenantIntegration, TenantIntegrationQuerySet
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check, doubts
from integrations.connectors.port import Client, TestResult
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.credentials.encryption import EncryptionService
from integrations.errors import ConfigurationError, IntegrationError, IntegrationTemporaryError

from .guide_names import renamed

logger = logging.getLogger("integrations.erp")

FAMILY = "erp"
_NAMES = {"org_id": "tenant_id", "connector_type": "integration_type"}


def connector_types() -> list[str]:
    """Return the registered kinds of ERP."""
    return [manifest.key for manifest in manifests(FAMILY)]


class ERPConnectionQuerySet(TenantIntegrationQuerySet):
    """Understands the guide's names: ``filter(org_id=7, connector_type="SAP", status="ACTIVE")``."""

    def _filter_or_exclude(self, negate: bool, args: Any, kwargs: Any) -> Any:
        names = {**_NAMES, "status": "connection_status"}
        return super()._filter_or_exclude(negate, args, renamed(kwargs, names))


class ERPConnectionManager(models.Manager.from_queryset(ERPConnectionQuerySet)):  # type: ignore[misc]
    def get_queryset(self) -> Any:
        is_on = When(is_active=True, is_enabled=True, then=Value("ACTIVE"))
        queryset = super().get_queryset().filter(integration_type__in=connector_types())
        return queryset.alias(connection_status=Case(is_on, default=Value("DISABLED")))


class ERPConnection(TenantIntegration):
    """One tenant's ERP. A tenant has one active one, unless SEVERAL_ACTIVE says otherwise (S2-31, S2-49)."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", "Active"
        DISABLED = "DISABLED", "Disabled"

    objects = ERPConnectionManager()  # type: ignore[misc]

    class Meta:
        proxy = True
        base_manager_name = "unannounced"  # a row is found again even if nobody knows its connector any more
        default_permissions = ()
        verbose_name = "ERP connection"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "connector_type" in kwargs:
            _check_type(kwargs["connector_type"])
            manifest = ConnectorRegistry.type_of(kwargs["connector_type"]).manifest
            kwargs = {"name": manifest.label, "is_signed": manifest.signs, **kwargs}
        # Fields, which Django sets before properties: a secret is bound to its tenant and sorted by its connector.
        super().__init__(*args, **{_NAMES.get(name, name): value for name, value in kwargs.items()})

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

    @property
    def uuid(self) -> UUID:
        """The id that may be shown outside; ``id`` is the row's number."""
        return self.public_id

    @property
    def org_id(self) -> int:
        return self.tenant_id

    @org_id.setter
    def org_id(self, value: int) -> None:
        self.tenant_id = value

    @property
    def connector_type(self) -> str:
        return self.integration_type

    @connector_type.setter
    def connector_type(self, value: str) -> None:
        _check_type(value)
        self.integration_type = value

    @property
    def config_encrypted(self) -> bytes:
        """All settings as ``EncryptionService.encrypt_config`` gives them; other bytes at every read (a new IV)."""
        return EncryptionService.encrypt_config(settings_of(self))

    @config_encrypted.setter
    def config_encrypted(self, value: bytes) -> None:
        self.set_config(EncryptionService.decrypt_config(value))

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

    @property
    def status(self) -> str:
        return self.Status.ACTIVE if self.is_active and self.is_enabled else self.Status.DISABLED

    @status.setter
    def status(self, value: str) -> None:
        if value not in self.Status.values:
            raise ValueError(f"Invalid status: {value}")
        self.is_active = value == self.Status.ACTIVE
        if self.is_active:
            # A person says so: our own switch goes on too, and the count of refused credentials starts anew.
            self.is_enabled, self.auth_failure_count, self.disabled_reason = True, 0, ""

    def test_connection(self, client: Client | None = None) -> TestResult:
        """Try the stored configuration without exporting anything; never raises.

        Remembers whether it worked, and when it last did: a failure leaves `last_test_at` alone (S2-30).
        """
        try:
            connector = bind(self, client, timeout=conf.TEST_TIMEOUT_SECONDS)
            if type(connector).test_connection is BaseConnector.test_connection:
                result = connector.health_check()
            else:
                result = connector.test_connection(dict(connector.settings))
        except IntegrationError as error:
            result = BaseConnector().failed_test(error, 0)
        except Exception as error:  # a connector of others, which promised not to raise
            unexpected = IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")
            result = BaseConnector().failed_test(unexpected, 0)
        health.record_test(self, result)
        return result


def _check_type(value: str) -> None:
    if value not in connector_types():
        raise ValueError(f"Invalid connector_type: {str(value)[:50]}")


def active_connections(org_id: Any) -> models.QuerySet[ERPConnection]:
    """Return the tenant's ERPs that take orders; those that *we* disabled do: their rows wait."""
    return ERPConnection.objects.filter(Q(tenant_id=org_id, is_active=True)).order_by("id")
