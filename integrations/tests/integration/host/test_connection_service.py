"""ConnectionService: the same for a host's connections and ours; nothing is stored unless all of it is right."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from django.forms import modelform_factory

from integrations import UnknownConnector
from integrations.admin.integration.mixin_form import ConnectionForm
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery.drain import drain
from integrations.errors import ConfigurationError, IntegrationAuthError
from integrations.models import AbstractConnection, AuditEntry, ExecutionLog, TenantIntegration
from integrations.services import ConnectionService
from integrations.tests.factories import make_item, statuses
from integrations.tests.receiver import Answer, Receiver, Request

from .conftest import CANARY, Make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.portable]

NEW = {"token": "canary-new", "pin": "1234"}


def stored(connection: AbstractConnection) -> Any:
    return type(connection)._base_manager.get(pk=connection.pk)


def log_of(connection: AbstractConnection, host: SimpleNamespace) -> Any:
    if isinstance(connection, TenantIntegration):
        return ExecutionLog.objects.filter(integration=connection)
    return host.ExecutionLog.objects.filter(connection=connection)


def raw(connection: AbstractConnection) -> str:
    return str(type(connection)._base_manager.filter(pk=connection.pk).values().get())


# -- tests and providers ---------------------------------------------------------------------------------------


def test_a_test_says_what_the_connection_says(connection: AbstractConnection, receiver: Receiver) -> None:
    for status in (200, 503, 401):
        receiver.answer_with(default=status)
        here, there = connection.test_connection(), ConnectionService.test_connection(stored(connection))
        assert (here.success, here.message, here.status) == (there.success, there.message, there.status)
        assert stored(connection).is_connected is (status == 200)


@pytest.mark.usefixtures("gate")
def test_providers_are_listed_by_family() -> None:
    everybody = [each.key for each in ConnectionService.list_available_providers()]
    assert {"gate", "slack", "woocommerce"} <= set(everybody) and everybody == sorted(everybody, key=str.lower)
    assert [each.key for each in ConnectionService.list_available_providers(family="building")] == ["gate"]
    assert ConnectionService.list_available_providers(family="nothing of that kind") == []


# -- rotation ----------------------------------------------------------------------------------------------------


@pytest.mark.integration
def test_new_credentials_replace_all_old_ones(connection: AbstractConnection, host: SimpleNamespace) -> None:
    before = raw(connection)
    ConnectionService.rotate_credentials(connection, {"token": "canary-new"}, actor="jane")
    for row in (connection, stored(connection)):
        assert row.credentials == {"token": "canary-new"}, "the pin was not given, and is gone"
    assert raw(connection) != before and "canary" not in raw(connection)
    is_ours = isinstance(connection, TenantIntegration)
    assert [line.action for line in log_of(connection, host)] == ([] if is_ours else ["rotate"])
    entry = AuditEntry.objects.filter(action="rotated").get()
    assert entry.actor == "jane" and "canary" not in str(vars(entry))
    assert entry.changes["credentials.token"] == entry.changes["credentials.pin"] == "changed"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({}, "token: missing"),
        ({"pin": "1234"}, "token: missing"),
        ({"token": ""}, "token: missing"),
        ({"token": 7}, "token: must be text"),
        ({**NEW, "tokken": CANARY}, "tokken: unknown"),
        ({**NEW, "token": "••••••••"}, "token: enter the new value"),
    ],
)
def test_wrong_credentials_are_not_stored(
    connection: AbstractConnection, host: SimpleNamespace, wrong: dict[str, Any], problem: str
) -> None:
    before = raw(connection)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        ConnectionService.rotate_credentials(connection, wrong)
    assert raw(connection) == before and not log_of(connection, host).exists()
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("value", [[], ["token"], "token", None, 7, [("token", "x")]])
def test_credentials_that_are_none(connection: AbstractConnection, value: Any) -> None:
    before = raw(connection)
    with pytest.raises(TypeError, match="credentials must be a dict of names and values"):
        ConnectionService.rotate_credentials(connection, value)
    assert raw(connection) == before


def test_what_has_begun_ends_with_the_old_ones(connection: AbstractConnection, receiver: Receiver) -> None:
    adapter = connection.get_adapter()
    ConnectionService.rotate_credentials(connection, NEW)
    adapter.get_visits()
    connection.get_adapter().get_visits()
    sent = [request.headers["authorization"] for request in receiver.requests]
    assert sent == [f"Bearer {CANARY}", "Bearer canary-new"]


@pytest.mark.integration
def test_a_delivery_under_way_is_not_disturbed(make: Make, receiver: Receiver) -> None:
    """Rotated while the request is at the receiver; the rows of the next turn go with the new ones."""
    ours = make("ours")
    assert isinstance(ours, TenantIntegration)
    ours.subscribe("workitem_created")

    def rotate() -> None:
        try:
            ConnectionService.rotate_credentials(TenantIntegration.objects.get(pk=ours.pk), NEW)
        finally:
            connections.close_all()

    def answer(request: Request) -> Answer:
        if request.headers["authorization"] == f"Bearer {CANARY}":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(rotate).result(10)
        return Answer(200)

    receiver.answer_with(answer)
    make_item(ours.tenant)
    drain(ours.pk)
    make_item(ours.tenant)
    drain(ours.pk)
    assert statuses() == ["synced", "synced"]
    sent = [request.headers["authorization"] for request in receiver.requests]
    assert sent == [f"Bearer {CANARY}", "Bearer canary-new"]
    ours.refresh_from_db()
    assert ours.auth_failure_count == 0 and ours.credentials_rotated_at is not None


@pytest.mark.integration
def test_rotation_keeps_the_signing_keys_and_what_was_changed_meanwhile(connection: AbstractConnection) -> None:
    keys = [{"secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "until": None}]
    connection.credentials = {**connection.credentials, "signing_keys": keys}
    connection.save()
    stale = stored(connection)
    other = stored(connection)
    other.config = {**other.config, "opens_at": "08:30"}
    other.save()
    ConnectionService.rotate_credentials(stale, NEW)
    row = stored(connection)
    assert row.credentials == {**NEW, "signing_keys": keys} and row.config["opens_at"] == "08:30"


def test_rotation_enables_nothing(connection: AbstractConnection, receiver: Receiver) -> None:
    receiver.answer_with(401, 401, 401)
    for _ in range(3):
        with pytest.raises(IntegrationAuthError):
            connection.get_adapter().get_visits()
    ConnectionService.rotate_credentials(connection, NEW)
    assert not stored(connection).is_enabled
    connection.re_enable()
    assert ConnectionService.test_connection(connection).success and stored(connection).is_operational


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"opens_at": "noon"}, "opens_at: must be a time such as 08:30"),
        ({"is_loud": "perhaps"}, "is_loud: must be"),
        ({"base_url": "not an address"}, "base_url: "),
        ({"base_url": None}, "base_url: missing"),
        ({"volume": 11}, "volume: unknown"),
        ({"token": "canary-new"}, "token: belongs to the credentials"),
    ],
)
def test_wrong_settings_are_named_and_not_stored(
    connection: AbstractConnection, changes: dict[str, Any], problem: str
) -> None:
    before = raw(connection)
    settings = {**connection.config, **changes}
    errors = ConnectionService.validate_settings(connection, settings)
    assert len(errors) == 1 and errors[0].startswith(problem) and "canary" not in errors[0]
    assert raw(connection) == before and connection.config == stored(connection).config
    with pytest.raises(ConfigurationError, match=problem):
        ConnectionService.update_settings(connection, settings)
    assert raw(connection) == before


def test_settings_are_replaced_whole_and_credentials_stay(connection: AbstractConnection) -> None:
    base = {"base_url": connection.config["base_url"]}
    before = connection.credentials
    settings = {**base, "opens_at": "08:30", "is_loud": "on"}
    assert ConnectionService.validate_settings(connection, settings) == []
    ConnectionService.update_settings(connection, settings)
    assert connection.config == {**base, "opens_at": "08:30", "is_loud": True}
    ConnectionService.update_settings(connection, base)
    row = stored(connection)
    assert row.get_adapter().settings["is_loud"] is False and "opens_at" not in row.config
    assert row.credentials == before == connection.credentials


@pytest.mark.parametrize("value", [[], "text", None, 7])
def test_settings_that_are_none(connection: AbstractConnection, value: Any) -> None:
    assert ConnectionService.validate_settings(connection, value) == ["config: must be an object of names and values"]


def test_stored_secrets_do_not_follow_an_address_to_another_server(connection: AbstractConnection) -> None:
    elsewhere = {"base_url": "https://elsewhere.example.com"}
    errors = ConnectionService.validate_settings(connection, elsewhere)
    assert [error.split(":")[0] for error in errors] == ["token", "pin"] and "another server" in errors[0]
    with pytest.raises(ConfigurationError, match="another server"):
        ConnectionService.update_settings(connection, elsewhere)
    ConnectionService.rotate_credentials(connection, {**NEW, **elsewhere})
    assert stored(connection).get_adapter().base_url == "https://elsewhere.example.com"


def test_an_unknown_kind_is_an_error_and_no_crash(
    make: Make, host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make("host")
    made.provider_name = "nobody"
    assert ConnectionService.validate_settings(made, {}) == ["provider_name: Unknown connector type: 'nobody'"]
    with monkeypatch.context() as patch:
        patch.setattr(ConnectorRegistry, "_broken", {"nobody": "it was written for another version"})
        errors = ConnectionService.validate_settings(made, {})
        assert errors == ["provider_name: it was written for another version"]
    made.save()
    with pytest.raises(UnknownConnector):
        ConnectionService.rotate_credentials(made, NEW)


def test_settings_of_an_unsaved_connection_can_be_checked(host: SimpleNamespace, gate: dict[str, Any]) -> None:
    made = host.Connection(company=host.Company(name="Acme"), provider_name="gate")
    assert ConnectionService.validate_settings(made, gate["config"]) == ["token: missing; it is required"]
    made.credentials = gate["credentials"]
    assert ConnectionService.validate_settings(made, gate["config"]) == [] and made.pk is None


# -- as django-bapp-connectors had it ------------------------------------------------------------------------------


def test_the_secret_for_calling_back_may_stand_among_a_hosts_settings(make: Make) -> None:
    connection = make("host")
    settings = {**connection.config, "webhook_secret": "whsec-" + "x" * 30}
    assert ConnectionService.validate_settings(connection, settings) == []
    ConnectionService.update_settings(connection, settings)
    assert stored(connection).config == settings
    assert stored(connection).get_adapter() is not None
    wrong = {**settings, "webhook_secret": 7}
    assert ConnectionService.validate_settings(connection, wrong) == [
        "webhook_secret: must be a text without spaces around it"
    ]


INBOUND = "whsec-" + "k3v9abcdefgh" * 2
WRONG = {
    "k": "must have at least 16 characters",
    "\u2022" * 8: "remove the dots",
    f" {INBOUND}": "without spaces",
    "\n".join(f"{INBOUND}{n}" for n in range(6)): "at most 5 secrets",
    f"{INBOUND}\nk": "must have at least 16 characters",
}


@pytest.mark.parametrize("secret", WRONG)
def test_it_is_as_good_as_every_other_secret_for_webhooks(make: Make, host: SimpleNamespace, secret: str) -> None:
    connection = make("host")
    settings = {**connection.config, "webhook_secret": secret}
    (problem,) = ConnectionService.validate_settings(connection, settings)
    assert problem.startswith("webhook_secret: ") and WRONG[secret] in problem
    if not secret.startswith("\u2022"):  # which a page takes for a stored value
        form = config_form(host)({"config": json.dumps(settings)}, instance=connection)
        assert not form.is_valid() and WRONG[secret] in str(form.errors["config"])
    # What was stored before there was a rule stays until it is changed.
    type(connection)._base_manager.filter(pk=connection.pk).update(config=settings)
    connection.refresh_from_db()
    if secret == secret.strip():
        assert ConnectionService.validate_settings(connection, {**settings, "is_loud": True}) == []
        kept = {**settings, "webhook_secret": "\u2022" * 8, "is_loud": True}
        assert config_form(host)({"config": json.dumps(kept)}, instance=connection).is_valid()


def test_credentials_rotate_beside_it(make: Make) -> None:
    connection = make("host")
    ConnectionService.update_settings(connection, {**connection.config, "webhook_secret": INBOUND})
    ConnectionService.rotate_credentials(connection, {"token": "canary-new"})
    row = stored(connection)
    assert row.config["webhook_secret"] == INBOUND and row.credentials == {"token": "canary-new"}


def config_form(host: SimpleNamespace) -> Any:
    return modelform_factory(host.Connection, ConnectionForm, fields=["config"])
