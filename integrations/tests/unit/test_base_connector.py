"""What all connectors share: lifecycle, tests of a connection, latency, configuration."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.compat.errors import ConnectorError
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Binding, Envelope, ExportResult, Receipt
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationTemporaryError,
)
from integrations.tests.effort import waiting
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

CANARY = "canary-7f3a91"
MANIFEST = Manifest(
    key="acme",
    label="Acme",
    fields=(
        Field(name="base_url", kind="url", required=True),
        Field(name="api_key", kind="secret", required=True),
        Field(name="company_id"),
    ),
)


class Acme(BaseConnector):
    """Writes down what happens to it."""

    manifest = MANIFEST

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls = ["init"]
        self.failure: Exception | None = None

    def connect(self) -> None:
        self.calls.append("connect")
        super().connect()

    def disconnect(self) -> None:
        self.calls.append("disconnect")
        super().disconnect()

    def check(self) -> str:
        self.calls.append("check")
        if self.failure is not None:
            raise self.failure
        return "Signed in as Acme."

    def deliver(self, envelope: Envelope) -> Receipt:
        return self.receipt(self.http.send("POST", "/orders", data=envelope.body))


class Calling(Acme):
    """Asks the server."""

    def check(self) -> str:
        return str(self.http.get("/me")["name"])


class Legacy(BaseConnector):
    """No manifest, and the configuration as an argument."""

    def export(self, draft_order: Any, config: dict[str, Any]) -> ExportResult:
        self.validate_required_fields(config, ["api_url", "api_key", "company_id"])
        if config["api_key"] != CANARY:
            raise ConnectorError("MyERP export failed: the key is wrong")
        return ExportResult(success=config.get("mode") != "fail", export_id=draft_order.id, storage_key="a/b.json")


@pytest.fixture
def client(receiver: Receiver) -> Iterator[GuardedClient]:
    client = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)))
    yield client
    client.close()


def settings_for(receiver: Receiver) -> dict[str, str]:
    return {"base_url": f"http://{receiver.netloc}", "api_key": CANARY}


# -- lifecycle ----------------------------------------------------------------------------------------------


def test_the_order_of_a_life() -> None:
    acme = Acme()
    assert acme.health_check().success
    assert acme.calls == ["init", "connect", "check", "disconnect"]


def test_disconnect_also_after_an_error() -> None:
    acme = Acme()
    with pytest.raises(ZeroDivisionError), acme:
        _ = 1 / 0
    acme.failure = IntegrationTemporaryError("later")
    assert not acme.health_check().success
    assert acme.calls == ["init", "connect", "disconnect", "connect", "check", "disconnect"]


def test_disconnect_also_when_connecting_fails() -> None:
    class Refusing(Acme):
        def connect(self) -> None:
            super().connect()
            raise IntegrationAuthError("no")

    refusing = Refusing()
    result = refusing.health_check()
    assert (result.success, result.is_auth_failure, result.error_message) == (False, True, "no")
    assert refusing.calls == ["init", "connect", "disconnect"]


def test_connecting_twice_is_harmless() -> None:
    acme = Acme()
    with acme:
        acme.connect()
        assert acme.health_check().success
    acme.disconnect()
    assert acme.calls.count("check") == 1


# -- does it work? --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (IntegrationAuthError("refused", status=401), "refused"),
        (ConfigurationError({"api_key": "missing"}), "api_key: missing"),
        (IntegrationError(), "IntegrationError"),
        (RuntimeError(CANARY), "unexpected RuntimeError"),
        (NotImplementedError(), "Acme has no connection check"),
    ],
)
def test_a_health_check_never_raises(failure: Exception, words: str) -> None:
    acme = Acme()
    acme.failure = failure
    result = acme.health_check()
    assert (result.success, result.error_message, result.message) == (False, words, words)
    assert result.latency_ms > 0 and CANARY not in repr(result)


def test_a_connector_without_a_check_says_so() -> None:
    legacy = Legacy()
    assert not legacy.can_check and Acme().can_check
    assert legacy.health_check().error_message == "Legacy has no connection check"


def test_test_connection_takes_a_configuration_and_keeps_none_of_it(
    receiver: Receiver, client: GuardedClient, settings: Any
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    receiver.answer_with(Answer(body=b'{"name": "Acme Corp"}'))
    calling = Calling(None, client)
    result = calling.test_connection(settings_for(receiver))
    assert (result.success, result.error_message, result.message) == (True, None, "Acme Corp")
    assert result.latency_ms > 0 and calling.binding == Binding()


@pytest.mark.parametrize("config", [{}, {"base_url": "https://acme.example"}, {"base_url": 7, "api_key": CANARY}])
def test_test_connection_names_what_is_missing(config: dict[str, Any]) -> None:
    result = Acme().test_connection(config)
    assert not result.success and result.error_message
    assert "api_key: " in result.error_message or "base_url: " in result.error_message
    assert CANARY not in repr(result)


@pytest.mark.parametrize("config", [7, "text", [1], {1: 2}])
def test_test_connection_never_raises(config: Any) -> None:
    assert Acme().test_connection(config).success is False
    assert Legacy().test_connection(config).success is False


@pytest.mark.parametrize("is_bound", [True, False])
def test_a_hanging_server_is_left_in_time(
    receiver: Receiver, client: GuardedClient, settings: Any, is_bound: bool
) -> None:
    """Also of an integration that allows 30 seconds and three attempts."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "TEST_TIMEOUT_SECONDS": 1.0}
    receiver.answer_with(default=Answer(then="hang"))
    config = settings_for(receiver)
    with waiting() as waited:
        if is_bound:
            bound = Binding.from_settings(MANIFEST, config, timeout=30.0, attempts=3)
            result = Calling(bound, client).test_connection()
        else:
            result = Calling(None, client).test_connection(config)
    assert not result.success and "did not answer in time" in (result.error_message or "")
    assert waited.seconds < 4
    assert len(receiver.requests) == 1


# -- the two ways to send ---------------------------------------------------------------------------------------


class DraftOrder:
    id = 7


def test_an_order_goes_out_as_an_event(receiver: Receiver, client: GuardedClient, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    result = Acme().export(DraftOrder(), settings_for(receiver))
    (request,) = receiver.requests
    assert request.json == {"event_type": "order_push", "order": {"id": 7}}
    assert (result.success, result.export_id, result.connector_metadata) == (True, 7, {"status": 200})


def test_an_event_goes_out_as_an_order() -> None:
    legacy = Legacy(Binding(credentials={"api_url": "u", "api_key": CANARY, "company_id": "c"}))
    receipt = legacy.deliver(Envelope("order_push", "ord_1", b'{"order": {"id": 9}}'))
    assert (receipt.external_id, receipt.location) == ("9", "a/b.json")


def test_an_export_that_did_not_succeed_is_tried_again() -> None:
    binding = Binding(credentials={"api_url": "u", "api_key": CANARY, "company_id": "c", "mode": "fail"})
    with pytest.raises(IntegrationTemporaryError, match="Legacy did not accept the export"):
        Legacy(binding).deliver(Envelope("order_push", "ord_1", b"{}"))


def test_a_failed_export_leaves_no_configuration_in_its_traceback() -> None:
    binding = Binding(credentials={"api_url": CANARY, "api_key": "wrong", "company_id": "c"})
    with pytest.raises(ConnectorError, match="export failed") as caught:
        Legacy(binding).deliver(Envelope("order_push", "ord_1", b"{}"))
    frame = caught.tb.tb_next
    while frame is not None:
        assert CANARY not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next


def test_what_neither_delivers_nor_exports_says_so() -> None:
    class Idle(BaseConnector):
        pass

    for call in (lambda: Idle().deliver(Envelope("a", "b", b"{}")), lambda: Idle().export(DraftOrder(), {})):
        with pytest.raises(NotImplementedError, match="Idle has neither a deliver nor an export method"):
            call()


# -- helpers ------------------------------------------------------------------------------------------------------


def test_latency_is_measured_also_when_the_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), Acme().measure_latency("x") as timer:
        inside = timer.latency_ms
        _ = 1 / 0
    after = timer.latency_ms
    assert 0 < inside <= after == timer.latency_ms  # it stands still


def test_build_test_result() -> None:
    acme = Acme()
    good = acme.build_test_result(success=True, latency_ms=1.5, error_message="ignored")
    assert (good.success, good.error_message, good.latency_ms, good.message) == (True, None, 1.5, "It works.")
    bad = acme.build_test_result(success=False, error_message="the key is wrong", latency_ms=2)
    assert (bad.success, bad.error_message, bad.message) == (False, "the key is wrong", "the key is wrong")
    assert acme.build_test_result(False).error_message == "It does not work."


def test_required_fields_are_named_and_values_are_not() -> None:
    config = {"api_url": CANARY, "api_key": "", "company_id": None}
    with pytest.raises(ConnectorError) as caught:
        Acme().validate_required_fields(config, ["api_url", "api_key", "company_id"])
    assert str(caught.value) == "api_key: missing; it is required; company_id: missing; it is required"
    Acme().validate_required_fields({"a": 0, "b": False}, ["a", "b"])


def test_what_it_is_bound_to_is_nobody_elses() -> None:
    with pytest.raises(ConfigurationError, match="api_key: missing"):
        Acme.bound_to({"base_url": "https://acme.example"})
    acme = Acme.bound_to({"base_url": "https://acme.example/v1", "api_key": CANARY, "company_id": "7"})
    assert acme.binding.credentials == {"api_key": CANARY}
    assert acme.binding.config == {"base_url": "https://acme.example/v1", "company_id": "7"}
    assert acme.settings["company_id"] == "7" and CANARY in acme.secrets
    assert CANARY not in repr(acme) + repr(acme.binding) + repr(acme.http)
    assert acme.host == "acme.example" and acme.http.policy.max_attempts == 1


def test_several_threads_may_deliver(receiver: Receiver, client: GuardedClient) -> None:
    acme = Acme(Binding.from_settings(MANIFEST, settings_for(receiver)), client)
    envelopes = [Envelope("a", f"evt_{number}", f'{{"n": {number}}}'.encode()) for number in range(8)]
    threads = [threading.Thread(target=acme.deliver, args=(envelope,)) for envelope in envelopes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(request.json["n"] for request in receiver.requests) == list(range(8))
