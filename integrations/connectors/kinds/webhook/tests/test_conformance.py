"""The webhook on the conformance suite."""

from __future__ import annotations

import pytest

from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.testing import Answer, ConnectorConformance


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
