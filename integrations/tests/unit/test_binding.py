"""From a stored integration to its connector: versions, migrations, what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.auth.token import MemoryTokens
from integrations.connections.binding import bind, settings_of
from integrations.connections.models import TenantIntegration
from integrations.connections.settings import apply_settings
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.registry import ConnectorRegistry, register
from integrations.connectors.versions import Version
from integrations.errors import (
    ConfigurationError,
    IncompatibleConnector,
    IntegrationNotConfigured,
    UnknownConnector,
)

CANARY = "canary-7f3a91"


class Acme(BaseConnector):
    """Version 3: the host became an address, and the password a key."""

    manifest = Manifest(
        key="acme",
        label="Acme",
        version="3.1.0",
        fields=(
            Field(name="base_url", kind="url", required=True),
            Field(name="api_key", kind="secret", required=True, label="API key"),
            Field(name="company_id", default="1"),
        ),
    )

    @classmethod
    def can_migrate(cls, before: Version) -> bool:
        return before.major == 2

    @classmethod
    def migrate_config(cls, config: dict[str, Any], from_version: str) -> dict[str, Any]:
        assert from_version == "2.4.0"
        return {"base_url": f"https://{config['host']}", "api_key": config["password"]}


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    ConnectorRegistry.all()
    monkeypatch.setattr(ConnectorRegistry, "_connectors", dict(ConnectorRegistry._connectors))
    register(Acme)


def stored(version: str = "3.1.0", **parts: Any) -> TenantIntegration:
    """An integration as an earlier version saved it; nothing here needs a database."""
    integration = TenantIntegration(tenant_id=1, name="Acme", integration_type="acme", is_signed=False)
    integration.connector_version = version
    for name, value in parts.items():
        setattr(integration, name, value)
    return integration


def complete(version: str = "3.1.0") -> TenantIntegration:
    return stored(version, credentials={"api_key": CANARY}, config={"base_url": "https://acme.example"})


@pytest.mark.parametrize("version", ["3.1.0", "3.0.0", "3.9.9", ""])
def test_settings_of_this_major_version(version: str) -> None:
    connector = bind(complete(version))
    assert type(connector) is Acme and connector.binding.attempts == 1
    assert connector.settings == {"base_url": "https://acme.example", "api_key": CANARY, "company_id": "1"}


def test_settings_of_the_last_major_version_are_migrated() -> None:
    tokens = MemoryTokens()
    old = stored("2.4.0", credentials={"password": CANARY}, config={"host": "acme.example"}, timeout_seconds=7)
    binding = bind(old, attempts=3, tokens=tokens).binding
    assert (binding.config, binding.credentials) == ({"base_url": "https://acme.example"}, {"api_key": CANARY})
    assert (binding.timeout, binding.attempts, binding.tokens) == (7, 3, tokens)


@pytest.mark.parametrize("version", ["1.9.0", "4.0.0"])
def test_settings_that_it_cannot_read_are_refused_with_the_reason(version: str) -> None:
    with pytest.raises(IncompatibleConnector, match=f"saved by version {version} of connector acme") as caught:
        bind(complete(version))
    assert isinstance(caught.value, IntegrationNotConfigured)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        bind(stored(config={"base_url": "https://acme.example"}))
    assert caught.value.problems == {"api_key": "API key is empty; set it on the integration"}


def test_an_unknown_kind() -> None:
    integration = complete()
    integration.integration_type = "gone"
    with pytest.raises(UnknownConnector, match="Unknown connector type: 'gone'"):
        bind(integration)


def test_a_failure_leaves_no_credential_in_its_traceback() -> None:
    with pytest.raises(ConfigurationError) as caught:
        bind(stored(credentials={"api_key": CANARY}))
    frame = caught.tb.tb_next
    while frame is not None:
        assert CANARY not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next


def test_settings_travel_both_ways() -> None:
    integration = stored()
    settings = {"base_url": "https://acme.example", "api_key": CANARY, "company_id": "7"}
    apply_settings(integration, settings)
    assert settings_of(integration) == settings
    assert CANARY not in integration.credentials_encrypted and integration.config == {
        "base_url": "https://acme.example",
        "company_id": "7",
    }
