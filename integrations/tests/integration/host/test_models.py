"""The four bases as a host has them: columns, defaults, constraints, credentials."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from integrations.connections.registered import connection_model, model_of
from integrations.errors import ConfigurationError, EncryptionError, IntegrationPermanentError
from integrations.models import AbstractConnection, SyncState, TenantIntegration, WebhookEvent
from integrations.services import ConnectionService
from integrations.tests.hostapp import fresh_project

from .conftest import CANARY, Make

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

COLUMNS: dict[str, dict[str, tuple[type[models.Field[Any, Any]], int | None]]] = {
    "Connection": {
        "provider_family": (models.CharField, 50),
        "provider_name": (models.CharField, 50),
        "display_name": (models.CharField, 200),
        "credentials_encrypted": (models.TextField, None),
        "config": (models.JSONField, None),
        "is_enabled": (models.BooleanField, None),
        "is_connected": (models.BooleanField, None),
        "auth_failure_count": (models.IntegerField, None),
        "last_auth_failure_at": (models.DateTimeField, None),
        "disabled_reason": (models.CharField, 500),
    },
    "SyncState": {
        "resource_type": (models.CharField, 50),
        "cursor": (models.CharField, 500),
        "last_sync_at": (models.DateTimeField, None),
        "next_sync_at": (models.DateTimeField, None),
        "status": (models.CharField, 20),
        "error_count": (models.IntegerField, None),
        "last_error": (models.TextField, None),
    },
    "ExecutionLog": {
        "action": (models.CharField, 100),
        "method": (models.CharField, 10),
        "url": (models.CharField, 500),
        "request_payload": (models.JSONField, None),
        "response_status": (models.IntegerField, None),
        "response_payload": (models.JSONField, None),
        "duration_ms": (models.IntegerField, None),
        "error": (models.TextField, None),
    },
    "WebhookEvent": {
        "provider": (models.CharField, 50),
        "event_type": (models.CharField, 100),
        "idempotency_key": (models.CharField, 255),
        "payload": (models.JSONField, None),
        "headers": (models.JSONField, None),
        "signature_valid": (models.BooleanField, None),
        "status": (models.CharField, 20),
        "processed_at": (models.DateTimeField, None),
        "error": (models.TextField, None),
    },
}


@pytest.mark.parametrize(
    ("model", "column"), [(model, column) for model, columns in COLUMNS.items() for column in columns]
)
def test_columns_are_as_the_guide_lists_them(host: SimpleNamespace, model: str, column: str) -> None:
    kind, length = COLUMNS[model][column]
    field = getattr(host, model)._meta.get_field(column)
    assert isinstance(field, kind) and field.max_length == length


@pytest.mark.parametrize("name", ["Connection", "SyncState", "ExecutionLog", "WebhookEvent"])
def test_bases_are_abstract_and_importable(host: SimpleNamespace, name: str) -> None:
    base = getattr(importlib.import_module("integrations.models"), f"Abstract{name}")
    assert base._meta.abstract and issubclass(getattr(host, name), base)
    ours = {"Connection": "TenantIntegration"}.get(name, name)
    assert issubclass(getattr(importlib.import_module("integrations.models"), ours), base), "ours are such subclasses"


def test_defaults(host: SimpleNamespace) -> None:
    made = host.Connection()
    assert (made.is_enabled, made.is_connected, made.auth_failure_count) == (True, False, 0)
    assert (made.config, made.credentials, made.disabled_reason, made.last_auth_failure_at) == ({}, {}, "", None)
    assert host.SyncState().status == "idle" and host.WebhookEvent().status == "received"
    assert host.ExecutionLog().request_payload is None and host.ExecutionLog().response_payload is None
    assert [value for value, _ in host.SyncState._meta.get_field("status").choices] == [
        "idle", "running", "completed", "failed",
    ]  # fmt: skip
    assert [value for value, _ in host.WebhookEvent._meta.get_field("status").choices] == [
        "received", "processing", "processed", "failed", "duplicate",
    ]  # fmt: skip


def test_settings_come_back_as_they_went(make: Make) -> None:
    made = make("host")
    made.config = {
        "prices_include_vat": True,
        "vat_rate": "0.19",
        "status_map_inbound": {"wc-custom-status": "processing"},
        "status_map_outbound": {"shipped": "wc-custom-shipped"},
    }
    made.save()
    assert type(made)._base_manager.get(pk=made.pk).config == made.config


def test_credentials_are_sealed_and_bound_to_their_row(make: Make, host: SimpleNamespace) -> None:
    made, other = make("host"), host.Connection.objects.create(company=host.Company.objects.create(name="Other"))
    row = host.Connection.objects.filter(pk=made.pk).values().get()
    assert CANARY not in json.dumps(row, default=str) and row["credentials_encrypted"]
    assert host.Connection.objects.get(pk=made.pk).credentials == {"token": CANARY, "pin": f"pin-{CANARY}"}
    host.Connection.objects.filter(pk=other.pk).update(credentials_encrypted=row["credentials_encrypted"])
    with pytest.raises(EncryptionError):
        host.Connection.objects.get(pk=other.pk).credentials  # noqa: B018
    assert CANARY not in repr(made) + str(made)


@pytest.mark.parametrize("wrong", ["text", None, ["token"], 7, {7: "x"}])
def test_credentials_are_a_dict(connection: AbstractConnection, wrong: Any) -> None:
    with pytest.raises(TypeError, match="credentials must"):
        connection.credentials = wrong


def test_keys_of_the_quick_start_are_unique(make: Make, host: SimpleNamespace) -> None:
    made = make("host")
    host.SyncState.objects.create(connection=made, resource_type="orders")
    host.SyncState.objects.create(connection=made, resource_type="products")
    again: list[Callable[[], Any]] = [
        lambda: host.SyncState.objects.create(connection=made, resource_type="orders"),
        lambda: host.Connection.objects.create(
            company=made.company, provider_family=made.provider_family, provider_name=made.provider_name
        ),
    ]
    for write in again:
        with pytest.raises(IntegrityError), transaction.atomic():
            write()


def test_a_guides_key_reads_what_the_guide_wrote(host: SimpleNamespace, settings: Any) -> None:
    """The printed snippet makes the key; its tokens are read, ours are written."""
    (snippet,) = [block for block in fresh_project.examples() if "Fernet.generate_key" in block]
    shown: list[str] = []
    exec(snippet, {"print": shown.append})  # our own documentation
    made = host.Connection.objects.create(company=host.Company.objects.create(name="Acme"), provider_name="gate")
    token = Fernet(shown[0]).encrypt(json.dumps({"token": "sk-secret123"}).encode()).decode()
    assert token.startswith("gAAAA")
    host.Connection.objects.filter(pk=made.pk).update(credentials_encrypted=token)
    made = host.Connection.objects.get(pk=made.pk)
    with pytest.raises(EncryptionError):
        made.credentials  # noqa: B018
    settings.BAPP_CONNECTORS = {"ENCRYPTION_KEY": shown[0]}
    assert made.credentials == {"token": "sk-secret123"}
    made.credentials = made.credentials
    made.save()
    settings.BAPP_CONNECTORS = {"ENCRYPTION_KEY": ""}
    made = host.Connection.objects.get(pk=made.pk)
    assert made.credentials == {"token": "sk-secret123"} and not made.credentials_encrypted.startswith("gAAAA")


def test_the_adapter_is_bound_to_credentials_and_settings(connection: AbstractConnection) -> None:
    adapter = connection.get_adapter()
    assert adapter.settings["token"] == CANARY and adapter.base_url == connection.config["base_url"]
    assert adapter.binding.timeout == 10
    assert CANARY not in repr(adapter)


@pytest.mark.parametrize("config", ['{"base_url": "https://gate.example.com"}', "", [], ["base_url"], 7])
def test_a_config_that_is_no_object(connection: AbstractConnection, config: Any) -> None:
    """A JSON column takes a form's text as well, which the printed ``config=request.POST.get("config")`` stores."""
    good, connection.config = connection.config, config
    connection.save()
    for ask in (connection.get_adapter, connection.get_receiver):
        with pytest.raises(ConfigurationError, match="config: must be an object of names and values"):
            ask()
    result = connection.test_connection()
    assert not result.success and result.message.startswith("config: must be an object")
    with pytest.raises(ConfigurationError, match="config: must be"):
        ConnectionService.rotate_credentials(connection, {"token": "new"})
    connection.config = good
    connection.save()
    assert connection.test_connection().success


@pytest.mark.parametrize(("seconds", "expected"), [(3.5, 3.5), (0, 10)])
def test_the_timeout_of_adapters_is_a_setting(make: Make, settings: Any, seconds: float, expected: float) -> None:
    made = make("host")
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": settings.INTEGRATIONS["ALLOWED_HOSTS"]}
    settings.BAPP_CONNECTORS = {"DEFAULT_TIMEOUT": seconds}
    assert made.get_adapter().binding.timeout == expected


def test_the_address_for_webhooks(connection: AbstractConnection, settings: Any) -> None:
    settings.BAPP_CONNECTORS = {"WEBHOOK_BASE_URL": "https://yourapp.com/webhooks/"}
    expected = f"https://yourapp.com/webhooks/{connection.public_id}/orders/"
    assert connection.webhook_url_for("orders") == expected
    settings.INTEGRATIONS |= {"WEBHOOK_BASE_URL": "https://ours.example.com/in"}
    assert connection.webhook_url_for("orders") == f"https://ours.example.com/in/{connection.public_id}/orders/"


def test_messages_can_name_a_hosts_model_and_nothing_else(host: SimpleNamespace, settings: Any) -> None:
    assert model_of("connectors", "Connection", AbstractConnection) is host.Connection
    settings.INTEGRATIONS = {"CONNECTION_MODEL": "connectors.Connection"}
    assert connection_model() is host.Connection
    settings.INTEGRATIONS = {}
    assert connection_model() is TenantIntegration
    for label, name in (("auth", "User"), ("connectors", "SyncState"), ("nothing", "Nothing"), ("", "")):
        with pytest.raises(IntegrationPermanentError, match="not an installed model derived from AbstractConnection"):
            model_of(label, name, AbstractConnection)


def test_marks_of_webhooks_and_pulls(host: SimpleNamespace, connection: AbstractConnection) -> None:
    """The models are a host's or ours."""
    is_ours = isinstance(connection, TenantIntegration)
    events, states = (WebhookEvent, SyncState) if is_ours else (host.WebhookEvent, host.SyncState)
    event = events.objects.create(connection=connection, provider="shop", idempotency_key="1")
    for mark, status in (("processing", "processing"), ("failed", "failed"), ("processed", "processed")):
        getattr(event, f"mark_{mark}")()
        assert events.objects.get().status == status
    event.mark_duplicate()
    event.refresh_from_db()
    assert (event.status, event.error) == ("processed", "") and event.processed_at
    other = events.objects.create(connection=connection, provider="shop", idempotency_key="2")
    other.mark_failed("x" * 600)
    assert len(events.objects.get(pk=other.pk).error) == 500
    other.mark_failed("a\0b\ud800")  # a text that somebody else wrote: the row must say that it failed all the same
    assert events.objects.get(pk=other.pk).error == "a b "
    other.mark_duplicate()
    assert events.objects.get(pk=other.pk).status == "duplicate"

    state = states.objects.create(connection=connection, resource_type="orders")
    state.mark_running()
    assert states.objects.get().status == "running"
    for count in (1, 2):
        state.mark_failed("the shop is closed")
        assert (state.status, state.error_count, state.cursor) == ("failed", count, "")
    state.mark_completed("page-2")
    state.refresh_from_db()
    assert (state.status, state.cursor, state.error_count, state.last_error) == ("completed", "page-2", 0, "")
    assert state.last_sync_at is not None
    for cursor, problem in (("x" * 501, "501 characters; at most 500"), ("\0", "NUL"), ("\ud800", "half a character")):
        with pytest.raises(ValueError, match=problem):
            state.mark_completed(cursor)  # neither cut nor, as SQLite would, kept
        assert states.objects.get().cursor == "page-2"
    state.mark_completed("x" * 500)
    state.mark_failed("a\0b\ud800")
    assert states.objects.get().last_error == "a b " and states.objects.get().cursor == "x" * 500


# -- the family of a provider -----------------------------------------------------------------------------------------


def connected(host: SimpleNamespace, family: str, name: str = "gate") -> Any:
    company = host.Company.objects.create(name=f"{family} {name}")
    return host.Connection(company=company, provider_family=family, provider_name=name)


@pytest.mark.parametrize("family", ["Building", "buildings", "shop", " building"])
def test_a_family_that_is_not_the_connectors_is_refused(family: str, host: SimpleNamespace, gate: Any) -> None:
    for check in ("full_clean", "save"):
        with pytest.raises(ValidationError) as caught:
            getattr(connected(host, family), check)()
        assert "gate is of the family building" in caught.value.message_dict["provider_family"][0]
    assert not host.Connection.objects.exists()


@pytest.mark.parametrize("check", ["full_clean", "save"])
def test_an_empty_family_is_the_connectors(check: str, host: SimpleNamespace, gate: Any) -> None:
    made = connected(host, "")
    getattr(made, check)()
    assert made.provider_family == "building"


def test_a_provider_that_nobody_knows_is_named(host: SimpleNamespace) -> None:
    with pytest.raises(ValidationError) as caught:
        connected(host, "shop", "woocomerce").full_clean()
    assert caught.value.message_dict == {"provider_name": ["Unknown connector type: 'woocomerce'"]}


def test_a_family_from_before_stays_until_somebody_touches_it(host: SimpleNamespace, gate: Any) -> None:
    made = connected(host, "building")
    made.save()
    host.Connection.objects.filter(pk=made.pk).update(provider_family="Building")
    old = host.Connection.objects.get()
    old.display_name = "Front gate"
    old.full_clean()
    old.save()
    for family in ("Buildings", "shop"):
        old.provider_family = family
        with pytest.raises(ValidationError):
            old.save(update_fields=["provider_family"])
    old.provider_family = ""
    old.save()
    assert host.Connection.objects.get().provider_family == "building"
