"""What a worker says in its log: one line per delivery, with ids; the same ids on a connector's calls."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.json_logs import JSONFormatter, LineFormatter
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery.drain import drain
from integrations.models import IntegrationEvent, IntegrationSync, TenantIntegration
from integrations.services.lookup import get_connector
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


class Register(BaseConnector):
    """A system of this test's own."""

    manifest = Manifest(key="register", label="Register", family="test", fields=(Field(name="base_url", kind="url"),))

    def deliver(self, envelope: Envelope) -> Receipt:
        self.logger.info("about to post")
        return self.receipt(self.http.send("POST", "/entries", json=envelope.payload))

    def entries(self) -> Any:
        self.logger.info("about to read")
        return self.http.get("/entries")


@pytest.fixture(autouse=True)
def _register(receiver: Receiver, settings: Any) -> Iterator[None]:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    ConnectorRegistry.register("register", Register)
    yield
    ConnectorRegistry.unregister("register")


def registered(receiver: Receiver) -> TenantIntegration:
    config = {"base_url": f"http://{receiver.netloc}"}
    return make_integration(make_tenant(), "", integration_type="register", config=config, signed=False)


def deliveries(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    ours = (record for record in caplog.records if record.name == "integrations.delivery")
    return [record for record in ours if hasattr(record, "sync_id")]


@pytest.mark.parametrize(
    ("answer", "level", "retries", "words"),
    [
        (201, "INFO", {}, "synced"),
        (503, "WARNING", {}, "Retrying in 15.0s"),
        (503, "ERROR", {"max_attempts": 1}, "503"),
        (410, "ERROR", {}, "410"),
    ],
)
def test_one_line_per_delivery_says_what_became_of_it(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, answer: int, level: str, retries: Any, words: str
) -> None:
    receiver.answer_with(answer)
    target = make_integration(make_tenant(), receiver.url, **retries)
    make_item(target.tenant)
    with caplog.at_level("INFO", logger="integrations"):
        drain(target.pk)
    (record,) = deliveries(caplog)
    sync, event = IntegrationSync.objects.get(), IntegrationEvent.objects.get()
    said = {name: getattr(record, name) for name in (
        "tenant_id", "integration_id", "connector", "event_type", "event_id", "sync_id", "attempt", "host", "status",
    )}  # fmt: skip
    assert said == {
        "tenant_id": target.tenant_id,
        "integration_id": target.pk,
        "connector": "webhook",
        "event_type": "workitem_created",
        "event_id": event.idempotency_key,
        "sync_id": sync.pk,
        "attempt": 1,
        "host": receiver.netloc,
        "status": answer,
    }
    assert record.levelname == level and isinstance(vars(record)["duration_ms"], int)
    text = record.getMessage()
    for part in (words, target.name, f"sync {sync.pk}", f"event {event.idempotency_key}", receiver.netloc, " ms"):
        assert part in text
    assert json.loads(JSONFormatter().format(record)).items() >= said.items()


def test_nothing_is_composed_for_a_log_that_nobody_reads(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    with caplog.at_level("WARNING", logger="integrations"):
        drain(target.pk)
    assert IntegrationSync.objects.get().status == "synced" and deliveries(caplog) == []


def test_no_address_and_no_secret_is_in_the_line(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    target = make_integration(
        make_tenant(), f"{receiver.url}/canary-path?key=canary-query", headers={"X-Key": "canary"}
    )
    receiver.answer_with(Answer(200, body=b"canary-path"), Answer(500, body=b"canary-path"))
    for _ in range(2):
        make_item(target.tenant)
    with caplog.at_level("DEBUG", logger="integrations"):
        drain(target.pk)
    assert len(deliveries(caplog)) == 2
    assert "canary" not in "".join(JSONFormatter().format(record) for record in caplog.records)


def test_the_calls_of_a_delivery_carry_its_ids(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    target = registered(receiver)
    make_item(target.tenant)
    receiver.answer_with(503)
    with caplog.at_level("DEBUG", logger="integrations"):
        drain(target.pk)
    (line,) = deliveries(caplog)
    records = [record for record in caplog.records if record.name == "integrations.register"]
    assert {record.levelname for record in records} == {"INFO", "DEBUG", "ERROR"}, "ours, the attempt, the failure"
    for record in records:
        for name in ("tenant_id", "integration_id", "connector", "event_type", "event_id", "sync_id", "attempt"):
            assert getattr(record, name) == getattr(line, name)


def test_the_calls_of_application_code_carry_whose_they_are(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    target = registered(receiver)
    with caplog.at_level("DEBUG", logger="integrations"):
        get_connector("register", tenant_id=target.tenant_id).entries()
    records = [record for record in caplog.records if record.name == "integrations.register"]
    assert len(records) == 2
    for record in records:
        assert vars(record)["tenant_id"] == target.tenant_id and vars(record)["integration_id"] == target.pk
        assert vars(record)["connector"] == "register" and not hasattr(record, "sync_id")


HOSTILE = "Shop\n12:00:00 CRITICAL integrations.delivery  all is lost\x1b[31m\u202e\x00\x85\u2028x"


def test_a_name_begins_no_line_and_paints_no_terminal(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    target = make_integration(make_tenant(), receiver.url, name=HOSTILE.replace("\x00", ""))
    make_item(target.tenant)
    receiver.answer_with(200, 500)
    with caplog.at_level("DEBUG", logger="integrations"):
        drain(target.pk)
        make_item(target.tenant)
        drain(target.pk)
    for record in caplog.records:
        if record.name.startswith("integrations"):
            assert record.getMessage().isprintable(), record.getMessage()
    assert "all is lost\\x1b[31m" in deliveries(caplog)[0].getMessage()


@pytest.mark.parametrize("formatter", [LineFormatter("%(levelname)s %(message)s"), JSONFormatter()])
def test_whatever_a_line_holds_it_is_one_line(formatter: logging.Formatter) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.emit(logging.makeLogRecord({"levelname": "INFO", "msg": "%s wrote", "args": (HOSTILE,), "who": HOSTILE}))
    text = stream.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n") and text[:-1].isprintable()
