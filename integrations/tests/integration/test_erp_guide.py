"""The examples of docs/erp.md, run from there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.encryption import EncryptionService
from integrations.erp.ports import ConnectorError, ERPConnectorPort, ExportResult, ReversibleExport, TestResult
from integrations.erp.push import PushOrchestrator
from integrations.errors import IntegrationError
from integrations.models import ERPConnection, ExecutionLog
from integrations.tests.factories import make_tenant
from integrations.tests.receiver import Answer, Receiver, Request

pytestmark = [pytest.mark.django_db]

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "erp.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


def my_erp(request: Request) -> Answer:
    assert request.headers["x-api-key"] == "test-key"
    if request.path == "/api/ping":
        return Answer(200, b'{"pong": true}')
    return Answer(201, b'{"order_id": 77, "order_number": "SO-77"}')


@pytest.fixture
def names(settings: Any, receiver: Receiver) -> Iterator[dict[str, Any]]:
    """What the page's examples define, after they ran in the page's order."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    receiver.answer_with(my_erp)
    names: dict[str, Any] = {"test_org": make_tenant(), "draft_order": SimpleNamespace(id=uuid4())}
    try:
        for example in EXAMPLES:
            exec(compile(example, GUIDE.name, "exec"), names)  # our own documentation
        yield names
    finally:
        ConnectorRegistry.unregister("MY_ERP")


@pytest.fixture
def mock_draft_order() -> Any:
    return SimpleNamespace(id=uuid4())


@pytest.fixture
def api_url(receiver: Receiver) -> str:
    return f"http://{receiver.netloc}/api"


def test_the_examples_run(names: dict[str, Any]) -> None:
    assert len(EXAMPLES) == 4 and names["again"].already_pushed


def test_my_connector_export_success(names: dict[str, Any], mock_draft_order: Any, api_url: str) -> None:
    connector = names["MyConnector"]()
    config = {
        "api_url": api_url,
        "api_key": "test-key",
        "company_id": "ACME",
    }

    result = connector.export(mock_draft_order, config)

    assert result.success is True
    assert result.export_id == mock_draft_order.id


def test_my_connector_missing_config(names: dict[str, Any], mock_draft_order: Any) -> None:
    connector = names["MyConnector"]()
    config = {"api_url": "https://example.com"}  # Missing api_key

    with pytest.raises(ConnectorError, match="api_key: missing"):
        connector.export(mock_draft_order, config)


def test_my_connector_test_connection(names: dict[str, Any], api_url: str) -> None:
    connector = names["MyConnector"]()
    config = {
        "api_url": api_url,
        "api_key": "test-key",
        "company_id": "ACME",
    }

    result = connector.test_connection(config)

    assert result.success is True
    assert result.latency_ms > 0


def test_my_connector_pushes_through_the_same_lane(
    names: dict[str, Any], mock_draft_order: Any, api_url: str, receiver: Receiver
) -> None:
    tenant = make_tenant("My tenant")
    config = {"api_url": api_url, "api_key": "test-key", "company_id": "ACME"}
    connection = ERPConnection.objects.create(
        org_id=tenant.id, connector_type="MY_ERP", config_encrypted=EncryptionService.encrypt_config(config)
    )
    tested = connection.test_connection()
    assert tested.success and tested.latency_ms > 0 and connection.last_test_at
    result = PushOrchestrator().push_order(tenant.id, mock_draft_order)
    assert result.status == "SUCCESS" and result.storage_key == f"myerp/exports/{mock_draft_order.id}.json"
    assert result.connector_metadata == {"erp_order_id": "77", "erp_order_number": "SO-77"}
    assert "test-key" not in repr(vars(connection))
    receiver.answer_with(default=503)
    waits: list[float] = []
    failed = PushOrchestrator().push_order(tenant.id, {"id": 2}, sleep=waits.append)
    assert (failed.status, waits) == ("FAILED", [1.0, 2.0, 4.0])
    assert "MyERP export failed: 127.0.0.1 answered 503" in failed.error_message
    assert ExecutionLog.objects.filter(sync=failed.push_log).count() == 4


def test_the_port_and_its_results() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ERPConnectorPort()  # type: ignore[abstract]
    assert ConnectorError is IntegrationError
    assert ExportResult(True).connector_metadata == {} and TestResult(True).latency_ms == 0

    class Reversible:
        def reverse(self, export_result: ExportResult) -> ExportResult:
            return export_result

    assert isinstance(Reversible(), ReversibleExport)
    assert not isinstance(ConnectorRegistry.get("MOCK"), ReversibleExport)


def test_registering_twice_and_another_class_under_a_name(names: dict[str, Any]) -> None:
    ConnectorRegistry.register("MY_ERP", names["MyConnector"])
    with pytest.raises(ValueError, match="two connectors call themselves 'MY_ERP'"):
        ConnectorRegistry.register("MY_ERP", type("Other", (names["MyConnector"],), {}))
