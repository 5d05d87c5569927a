"""Every registered connector passes the suite that authors of connectors get (integrations/testing).

A new connector needs a class here, or in any other module of this folder. Without one, the last test fails.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

from integrations.connectors import registry
from integrations.connectors.kinds.n8n import N8nConnector
from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.errors import IntegrationTemporaryError
from integrations.testing import Answer, ConnectorConformance
from integrations.tests import conformance


class TestWebhook(ConnectorConformance):
    connector = WebhookConnector
    config = {
        "url": "{server}/hook/canary-path-7f3a91?token=canary-query-7f3a91",
        "headers": {"X-Team": "canary-header-7f3a91"},
        "username": "outbox",
        "password": "canary-password-7f3a91",
        "api_key": "canary-key-7f3a91",
    }

    def test_what_is_sent(self) -> None:
        receipt = self.bound().deliver(self.envelope(attempt=2))
        (request,) = self.work
        assert request.body == self.envelope().body and receipt.status == 200
        assert request.headers["webhook-id"] == self.envelope().idempotency_key
        assert (request.headers["webhook-event"], request.headers["webhook-attempt"]) == ("workitem_created", "2")

    @pytest.mark.parametrize("answer", [Answer(200, then="cut"), Answer(200, b"\xff\xfe\0garbage")])
    def test_a_success_is_one_whatever_its_body(self, answer: Answer) -> None:
        self.answering(answer)
        assert self.bound().deliver(self.envelope()).status == 200


class TestN8n(TestWebhook):
    connector = N8nConnector
    statuses = {404: IntegrationTemporaryError}  # the workflow is being edited


def test_every_registered_connector_is_here() -> None:
    for module in pkgutil.iter_modules(conformance.__path__):
        import_module(f"{conformance.__name__}.{module.name}")
    here = {kind.connector for kind in _below(ConnectorConformance) if hasattr(kind, "connector")}
    missing = {name for name, _ in registry.connector_choices() if registry.ConnectorRegistry.type_of(name) not in here}
    assert not missing, (
        f"no conformance class for {', '.join(sorted(missing))}: add one to integrations/tests/conformance/ "
        "(docs/write-your-own-connector.md)"
    )


def _below(kind: type) -> set[type]:
    return {found for each in kind.__subclasses__() for found in ({each} | _below(each))}
