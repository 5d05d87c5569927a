"""The example in docs/templates.md, from the page to the destination: loaded, registered, configured, delivered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.connections.settings import apply_settings
from integrations.connectors.kinds.rest import RestConnector
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.template.load import load
from integrations.delivery.drain import drain
from integrations.errors import ConfigurationError
from integrations.models import IntegrationSync, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "templates.md"
TOKEN = "canary-7f3a91c4d2"


@pytest.fixture
def integration(receiver: Receiver, settings: Any) -> Iterator[TenantIntegration]:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    kind = RestConnector.for_template(load(example.encode(), "templates.md", {"rest": "1.0.0"}))
    ConnectorRegistry.register(kind)
    try:
        target = make_integration(make_tenant(), "", integration_type=kind.manifest.key, signed=False)
        apply_settings(target, {"token": TOKEN, "base_url": f"http://{receiver.netloc}"})
        target.save()
        yield target
    finally:
        ConnectorRegistry.unregister(kind.manifest.key)


def test_the_example_delivers(integration: TenantIntegration, receiver: Receiver, caplog: Any) -> None:
    receiver.answer_with(Answer(201, b'{"id": "T-1"}'))
    item = make_item(integration.tenant, priority="urgent")
    assert drain(integration.pk).sent == 1
    sync = IntegrationSync.objects.select_related("event").get()
    (request,) = receiver.requests
    assert (sync.status, sync.response_status) == ("synced", 201)
    assert (request.method, request.path) == ("POST", "/v2/queues/repairs/tickets")
    assert request.headers["authorization"] == f"Bearer {TOKEN}" and request.headers["acme-version"] == "2025-01"
    assert request.headers["idempotency-key"] == sync.event.idempotency_key
    body = request.json
    assert body.pop("raw")["workitem"]["id"] == item.pk
    assert body == {"subject": "workitem_created RMA-1", "urgent": True, "lines": None}
    assert TOKEN not in caplog.text and TOKEN not in str(IntegrationSync.objects.values().get())


def test_its_answers_mean_what_it_says(integration: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(Answer(409, b'{"code": "duplicate"}'), Answer(403, b'{"code": "too_fast", "wait": 90}'))
    make_item(integration.tenant)
    drain(integration.pk)
    make_item(integration.tenant)
    drain(integration.pk)
    first, second = IntegrationSync.objects.order_by("id")
    assert first.status == "synced"
    assert second.status == "pending" and "127.0.0.1: too many requests" in second.last_error
    integration.refresh_from_db()
    assert integration.is_enabled and integration.auth_failure_count == 0  # 403, and not the credentials


def test_its_actions_are_for_your_code(integration: TenantIntegration, receiver: Receiver) -> None:
    adapter = integration.get_adapter()
    assert isinstance(adapter, RestConnector)
    receiver.answer_with(Answer(200, b'{"tickets": [1, 2], "next": "c2"}'), Answer(200, b'{"tickets": [3]}'))
    assert adapter.call("find", customer="C-45") == [1, 2, 3]
    paths = [request.path for request in receiver.requests]
    assert paths == ["/v2/tickets?customer=C-45&limit=100", "/v2/tickets?customer=C-45&limit=100&after=c2"]
    receiver.answer_with(Answer(200, b'{"name": "Acme"}'))
    assert adapter.health_check().message == "Connected as Acme."
    with pytest.raises(ConfigurationError, match="customer: missing"):
        adapter.call("find")
