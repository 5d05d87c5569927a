"""Slack on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.slack import SlackConnector
from integrations.connectors.port import Envelope
from integrations.testing import Answer, ConnectorConformance, Request

NO_KEY = "Slack takes no idempotency key"


class TestSlackWebhook(ConnectorConformance):
    connector = SlackConnector
    config = {"url": "{server}/services/T00000000/B00000000/canary7f3a91canary"}
    success = Answer(200, b"ok")
    exempt = {
        "a_copy_can_be_told": NO_KEY,
        "several_threads_may_use_it": "the messages of two events differ in their text alone",
        "a_check_that_succeeds": "a webhook can do nothing but post",
        "a_check_says_that_the_credentials_are_refused": "a webhook can do nothing but post",
    }


class TestSlackBot(ConnectorConformance):
    """A message carries the event's key in its metadata."""

    connector = SlackConnector
    config = {"base_url": "{server}", "token": "xoxb-canary-7f3a91", "channel": "C0123456789"}
    success = Answer(200, b'{"ok": true, "channel": "C0123456789", "ts": "1503435956.000247"}')

    def key_of(self, request: Request, envelope: Envelope) -> str:
        return str(request.json["metadata"]["event_payload"]["webhook_id"])
