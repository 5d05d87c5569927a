"""Every registered connector passes the suite that authors of connectors get (integrations/testing)."""

from __future__ import annotations

from integrations.connectors.registry import ConnectorRegistry, connector_choices

from .conformance_classes import conformance_classes


def test_every_registered_connector_is_tried() -> None:
    tried = {found.connector for found in conformance_classes()}
    missing = {name for name, _ in connector_choices() if ConnectorRegistry.type_of(name) not in tried}
    assert not missing, (
        f"no conformance class for {', '.join(sorted(missing))}: it belongs into tests/test_conformance.py beside it "
        "(docs/write-your-own-connector.md)"
    )
