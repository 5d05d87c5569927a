"""``ERPConnection``: the table ``erp_connection`` on the integration's row."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from integrations.connections.binding import settings_of
from integrations.credentials.encryption import EncryptionService
from integrations.errors import ConfigurationError, EncryptionError
from integrations.models import ERPConnection, Lane, TenantIntegration
from integrations.tests.effort import waiting
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.receiver import Answer, Receiver
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

CANARY = "canary-c0ffee"
EDI = {"url": "https://edi.example.com/in", "sender": "4012345000009", "recipient": "4098765000010", "api_key": CANARY}


def encrypted(config: dict[str, Any]) -> bytes:
    return EncryptionService.encrypt_config(config)


def make(tenant: Tenant, kind: str = "MOCK", config: dict[str, Any] | None = None, **values: Any) -> ERPConnection:
    config = {"mode": "success"} if config is None else config
    values = {"org_id": tenant.pk, "connector_type": kind, "config_encrypted": encrypted(config), **values}
    return ERPConnection.objects.create(**values)


def test_the_columns_of_the_guide() -> None:
    tenant = make_tenant()
    # In an order in which nothing would be known yet when the configuration is set.
    made = ERPConnection(config_encrypted=encrypted(EDI), status="ACTIVE", connector_type="EDI", org_id=tenant.pk)
    made.save()
    row = ERPConnection.objects.get()
    assert (row.org_id, row.connector_type, row.status) == (tenant.pk, "EDI", "ACTIVE")
    assert EncryptionService.decrypt_config(row.config_encrypted) == EDI
    assert row.config_encrypted != row.config_encrypted  # a new IV each time
    assert row.uuid == row.public_id and row.last_test_at is None and row.created_at and row.updated_at
    assert row.name == "EDI (EDIFACT ORDERS over HTTPS)" and not row.is_signed
    integration = TenantIntegration.objects.get()
    assert (integration.pk, integration.integration_type, integration.tenant) == (row.pk, "EDI", tenant)
    assert integration.credentials == {"api_key": CANARY} and integration.config["sender"] == "4012345000009"
    assert Lane.objects.get().pk == row.pk  # a lane of its own at once, as every integration has


def test_nothing_secret_is_stored_in_the_clear() -> None:
    make(make_tenant(), "EDI", EDI)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM integrations_tenantintegration")
        stored = repr(cursor.fetchall())
    assert CANARY not in stored and "edi.example.com" not in stored
    assert CANARY not in repr(vars(ERPConnection.objects.get()))


def test_found_by_the_guides_names() -> None:
    ours, theirs = make_tenant(), make_tenant("Other")
    mine, other = make(ours), make(theirs, status="DISABLED")
    make_integration(ours)  # a webhook is no ERP
    assert list(ERPConnection.objects.filter(org_id=ours.pk)) == [mine]
    assert list(ERPConnection.objects.filter(connector_type="MOCK", status="DISABLED")) == [other]
    assert list(ERPConnection.objects.exclude(status="ACTIVE")) == [other]
    assert ERPConnection.objects.filter(org_id__in=[ours.pk, theirs.pk]).count() == 2
    TenantIntegration.objects.filter(pk=mine.pk).update(is_enabled=False)
    mine.refresh_from_db()
    assert mine.status == "DISABLED" and not ERPConnection.objects.filter(status="ACTIVE").exists()


def test_a_person_switches_on_what_we_switched_off() -> None:
    row = make(make_tenant())
    TenantIntegration.objects.filter(pk=row.pk).update(is_enabled=False, auth_failure_count=3, disabled_reason="why")
    row.refresh_from_db()
    row.status = "ACTIVE"
    row.save()
    row = ERPConnection.objects.get()
    assert row.is_enabled and row.auth_failure_count == 0 and row.disabled_reason == ""
    with pytest.raises(ValueError, match="Invalid status: PAUSED"):
        row.status = "PAUSED"


@pytest.mark.parametrize("kind", ["MY_ERP", "webhook", "mock", ""])
def test_an_unknown_type_is_refused(kind: str) -> None:
    tenant = make_tenant()
    with pytest.raises(ValueError, match=f"^Invalid connector_type: {kind}$"):
        ERPConnection(org_id=tenant.pk, connector_type=kind)
    row = make(tenant)
    with pytest.raises(ValueError, match="Invalid connector_type"):
        row.connector_type = kind


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({**EDI, "passwrd": CANARY}, "passwrd: unknown"),  # it would be stored as if it were no secret
        ({"url": EDI["url"]}, "sender: missing"),
        ({**EDI, "charset": CANARY}, "charset: must be one of"),
    ],
)
def test_a_configuration_is_checked_when_it_is_set(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        make(make_tenant(), "EDI", config)
    assert CANARY not in str(caught.value) and not TenantIntegration.objects.exists()


def test_bytes_that_do_not_open_say_why() -> None:
    data = bytearray(encrypted(EDI))
    data[-1] ^= 1
    with pytest.raises(EncryptionError, match="authentication tag verification failed") as caught:
        make(make_tenant(), config_encrypted=bytes(data))
    for cause in ("key changed after encryption", "data was corrupted", "environments were mixed"):
        assert cause in str(caught.value)


def test_one_active_connection_per_tenant(settings: Any) -> None:
    tenant = make_tenant()
    first = make(tenant)
    make(tenant, "EDI", EDI, status="DISABLED")
    make(make_tenant("Other"))
    with pytest.raises(IntegrityError, match="has an active ERP connection already"), transaction.atomic():
        make(tenant, "EDI", EDI)
    second = ERPConnection.objects.get(org_id=tenant.pk, status="DISABLED")
    second.status = "ACTIVE"
    with pytest.raises(ValidationError, match="switch that one off first"):
        second.full_clean(exclude=["is_enabled"])
    with pytest.raises(IntegrityError, match="has an active ERP connection already"), transaction.atomic():
        second.save()
    first.status = "DISABLED"
    first.save()
    second.save()
    settings.INTEGRATIONS = {"SEVERAL_ACTIVE": ["erp"]}
    first.status = "ACTIVE"
    first.save()
    second.save()
    assert ERPConnection.objects.filter(org_id=tenant.pk, status="ACTIVE").count() == 2


def test_another_integrity_error_is_left_as_it_is() -> None:
    tenant = make_tenant()
    row = make(tenant, status="DISABLED")
    with pytest.raises(IntegrityError, match="public_id"), transaction.atomic():
        make(tenant, public_id=row.public_id, status="DISABLED")


def test_last_test_at_is_of_the_last_test_that_worked() -> None:
    row = make(make_tenant())
    assert row.test_connection().success
    worked_at = ERPConnection.objects.get().last_test_at
    assert worked_at is not None and ERPConnection.objects.get().is_connected
    row.set_config({"mode": "auth"})
    row.save()
    result = row.test_connection()
    assert not result.success and result.is_auth_failure
    stored = ERPConnection.objects.get()
    assert stored.last_test_at == worked_at and not stored.is_connected and stored.auth_failure_count == 1


@pytest.mark.slow
def test_a_server_that_hangs_costs_six_seconds_at_most(settings: Any, receiver: Receiver) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    receiver.answer_with(default=Answer(then="hang"))
    row = make(make_tenant(), "EDI", {**EDI, "url": receiver.url})
    with waiting() as waited:
        result = row.test_connection()
    assert waited.seconds <= 6 and not result.success and result.error_message
    assert ERPConnection.objects.get().last_test_at is None


def test_settings_that_cannot_be_read_are_a_failed_test() -> None:
    row = make(make_tenant(), "EDI", EDI)
    TenantIntegration.objects.filter(pk=row.pk).update(credentials_encrypted="v1.x.AAAA")
    row.refresh_from_db()
    result = row.test_connection()
    assert not result.success and "authentication tag verification failed" in (result.error_message or "")


def test_what_was_not_given_is_not_made_up() -> None:
    row = make(make_tenant(), config={})
    assert settings_of(row) == {}
    assert row.test_connection().success  # the defaults are the connector's, when it runs
