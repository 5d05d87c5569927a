"""The mock ERP: each mode, unbound."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from integrations.compat.errors import ConnectorError
from integrations.connectors.kinds.mock import MODES, MockConnector
from integrations.connectors.port import Envelope
from integrations.errors import (
    IntegrationAuthError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)

draft_order = SimpleNamespace(id="order-1")
ERRORS = {
    "temporary": IntegrationTemporaryError,
    "timeout": IntegrationTemporaryError,
    "permanent": IntegrationPermanentError,
    "auth": IntegrationAuthError,
    "rate_limited": IntegrationRateLimited,
}


def test_mock_connector_success() -> None:
    connector = MockConnector()
    config = {"mode": "success"}

    result = connector.export(draft_order, config)

    assert result.success is True


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_exports_and_tests_alike(mode: str) -> None:
    config = {"mode": mode, "seconds": 0, "failures": 1, "retry_after": 7}
    connector = MockConnector()
    tested = connector.test_connection(config)
    expected = ERRORS.get(mode, IntegrationTemporaryError if mode == "flaky" else None)
    assert tested.success is (expected is None) and tested.is_auth_failure is (mode == "auth")
    if expected is None:
        assert connector.export(draft_order, config).export_id.startswith("MOCK-")
        return
    with pytest.raises(ConnectorError) as caught:
        connector.export(draft_order, config)
    assert type(caught.value) is expected
    assert caught.value.retry_after == (7 if mode == "rate_limited" else None)


def test_flaky_counts_attempts() -> None:
    connector = MockConnector.bound_to({"mode": "flaky", "failures": 2})
    for attempt in (1, 2):
        with pytest.raises(IntegrationTemporaryError):
            connector.deliver(Envelope("order_push", "k", b"{}", attempt=attempt))
    assert connector.deliver(Envelope("order_push", "k", b"{}", attempt=3)).external_id


def test_slow_takes_its_time() -> None:
    connector = MockConnector()
    assert connector.test_connection({"mode": "slow", "seconds": 1}).latency_ms >= 1000


def test_it_says_what_it_is() -> None:
    assert "sends nothing" in MockConnector.manifest.label
    assert MockConnector.validate_config({"mode": "nonsense"}) == {"mode": f"must be one of: {', '.join(MODES)}"}
