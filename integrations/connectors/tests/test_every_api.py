"""What every connector to a provider's API must do: errors, deadlines, hosts, and what its manifest says."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.auth.token import MemoryTokens, Token
from integrations.connectors.base import BaseConnector
from integrations.connectors.kinds.github import GitHubConnector
from integrations.connectors.kinds.microsoft_graph import MicrosoftGraphConnector
from integrations.connectors.kinds.salesforce import SalesforceConnector
from integrations.connectors.kinds.slack import SlackConnector
from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import (
    IntegrationAuthError,
    IntegrationBlocked,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

from .fixtures import Connect
from .samples import envelope, failure

CANARY = "canary7f3a91"
KINDS: dict[type[BaseConnector], dict[str, Any]] = {
    SlackConnector: {"token": f"xoxb-{CANARY}", "channel": "C0123456789"},
    GitHubConnector: {"token": f"ghp_{CANARY}", "repository": "octocat/Hello-World"},
    SalesforceConnector: {
        "client_id": "id",
        "client_secret": CANARY,
        "sobject": "Case",
        "external_id_field": "Outbox_Id__c",
        "mapping": "Subject: workitem.reference_id",
    },
    MicrosoftGraphConnector: {
        "tenant_id": "contoso.com",
        "client_id": "id",
        "client_secret": CANARY,
        "sender": "noreply@contoso.com",
        "to": "jane@example.com",
    },
}
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.manifest.key)


def made(connect: Connect, kind: type[BaseConnector], url: str) -> BaseConnector:
    login: dict[str, Any] = {"login_url": url} if kind.manifest.field("login_url") else {}
    return connect(kind, **KINDS[kind], **login, base_url=url, session=CANARY)


@every_kind
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, IntegrationPermanentError),
        (403, IntegrationAuthError),
        (404, IntegrationPermanentError),
        (408, IntegrationTemporaryError),
        (422, IntegrationPermanentError),
        (429, IntegrationRateLimited),
        (500, IntegrationTemporaryError),
        (503, IntegrationTemporaryError),
    ],
)
def test_statuses(
    connect: Connect, receiver: Receiver, kind: type[BaseConnector], status: int, expected: type[IntegrationError]
) -> None:
    receiver.answer_with(default=Answer(status, b"<html>no</html>", {"Retry-After": "120"} if status == 429 else {}))
    error = failure(made(connect, kind, f"http://{receiver.netloc}").deliver, envelope())
    assert type(error) is expected and error.status == status
    assert error.retry_after == (120 if status == 429 else None)
    assert len(receiver.requests) == 1  # no retry loop inside


@every_kind
def test_a_410_is_permanent(connect: Connect, receiver: Receiver, kind: type[BaseConnector]) -> None:
    receiver.answer_with(default=410)
    error = failure(made(connect, kind, f"http://{receiver.netloc}").deliver, envelope())
    assert type(error) in (IntegrationPermanentError, IntegrationGone)


@every_kind
@pytest.mark.parametrize("then", ["drop", "reset", "hang"])
def test_broken_connections(connect: Connect, receiver: Receiver, kind: type[BaseConnector], then: Any) -> None:
    receiver.answer_with(default=Answer(then=then))
    error = failure(made(connect, kind, f"http://{receiver.netloc}").deliver, envelope())
    assert type(error) is IntegrationTemporaryError and len(receiver.requests) == 1


@every_kind
def test_only_its_own_hosts(receiver: Receiver, kind: type[BaseConnector]) -> None:
    """Not the receiver, unless the operator lists it; not a host of somebody else, however public."""
    with_receiver = AddressPolicy(allowed_hosts=(receiver.netloc,))
    for url, policy in ((f"http://{receiver.netloc}", AddressPolicy()), ("https://example.com", with_receiver)):
        client = GuardedClient(policy, timeout=5)
        settings = {**KINDS[kind], "base_url": url, "login_url": url}
        if kind.manifest.field("mapping"):
            settings["mapping"] = [settings["mapping"]]
        binding = Binding.from_settings(kind.manifest, settings, tokens=MemoryTokens(Token(CANARY)))
        connector = kind(binding, client)
        assert isinstance(failure(connector.deliver, envelope()), IntegrationBlocked)
        assert isinstance(failure(connector.check), IntegrationBlocked)
        client.close()
    assert receiver.requests == []


@every_kind
def test_its_own_hosts_are_allowed(kind: type[BaseConnector]) -> None:
    """The addresses that it has by default, and the one a Salesforce org has, are accepted by a form."""
    url = {"base_url": "https://acme--dev.sandbox.my.salesforce.com"} if kind is SalesforceConnector else {}
    assert kind.validate_config({**KINDS[kind], **url}) == {}
    assert "base_url" in kind.validate_config({**KINDS[kind], "base_url": "https://evil.example"})


@every_kind
def test_the_manifest_is_whole(kind: type[BaseConnector]) -> None:
    manifest = kind.manifest
    assert ConnectorRegistry.type_of(manifest.key) is kind
    assert manifest.allowed_hosts and manifest.rate_limit and manifest.description
    assert manifest.docs_url.startswith("https://")
    assert "check" in manifest.does and "deliver" in manifest.does
    assert manifest.secret_names
    undescribed = {field.name for field in manifest.fields if field.required and not (field.help or field.label)}
    assert undescribed == set()


@every_kind
def test_an_export_is_delivered_too(kind: type[BaseConnector]) -> None:
    """The port of orders: built on `deliver`."""
    assert kind.export is BaseConnector.export and kind.deliver is not BaseConnector.deliver
