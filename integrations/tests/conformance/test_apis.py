"""The connectors of named APIs on the conformance suite."""

from __future__ import annotations

from typing import Any

from integrations.connectors.kinds.github import GitHubConnector
from integrations.connectors.kinds.microsoft_graph import MicrosoftGraphConnector
from integrations.connectors.kinds.salesforce import SalesforceConnector
from integrations.connectors.kinds.slack import SlackConnector
from integrations.connectors.port import Envelope
from integrations.errors import IntegrationPermanentError
from integrations.testing import Answer, ConnectorConformance, Request


class TestGitHub(ConnectorConformance):
    """One event is two requests: is its issue there already? Then the issue."""

    connector = GitHubConnector
    config = {"base_url": "{server}", "token": "canary-token-7f3a91", "repository": "octocat/hello-world"}
    success = Answer(201, b'{"number": 7, "html_url": "https://github.com/octocat/hello-world/issues/7"}')
    statuses = {410: IntegrationPermanentError}  # one deleted issue says nothing about the others
    requests_per_call = 2
    default_retry_after = 60.0
    repeated_page = Answer(body=b"[]", headers={"Link": '</repos/octocat/hello-world/issues?page=2>; rel="next"'})

    def reply(self, request: Request) -> Answer:
        return Answer(body=b"[]") if request.method == "GET" and "issues" in request.path else self.success

    def read_all(self, connector: Any) -> Any:
        return connector.list_issues("octocat", "hello-world")


class TestMicrosoftGraph(ConnectorConformance):
    connector = MicrosoftGraphConnector
    config = {
        "base_url": "{server}",
        "login_url": "{server}",
        "tenant_id": "acme.example",
        "client_id": "app-7",
        "client_secret": "canary-secret-7f3a91",
        "sender": "repairs@acme.example",
        "to": ["ops@acme.example"],
    }
    success = Answer(202, b"")


class TestSalesforce(ConnectorConformance):
    """The external id is in the address: an upsert that is sent again updates."""

    connector = SalesforceConnector
    config = {
        "base_url": "{server}",
        "client_id": "app-7",
        "client_secret": "canary-secret-7f3a91",
        "sobject": "Case",
        "external_id_field": "Outbox_Id__c",
        "mapping": ["Subject: workitem.reference_id"],
    }
    success = Answer(201, b'{"id": "5003000000D8cuI", "success": true}')
    repeated_page = Answer(body=b'{"done": false, "nextRecordsUrl": "/services/data/v62.0/query/01g-5", "records": []}')

    def read_all(self, connector: Any) -> Any:
        return connector.query("SELECT Id FROM Case")


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
