"""SAP on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.sap import SAPConnector
from integrations.connectors.port import Envelope
from integrations.testing import Answer, ConnectorConformance, Request

NO_TOKENS = "with a user and a password there are no tokens"


class TestSAP(ConnectorConformance):
    """One order is two requests: is it there already? Then the order, under our key as the customer's reference."""

    connector = SAPConnector
    config = {
        "base_url": "{server}",
        "username": "OUTBOX",
        "password": "canary-password-7f3a91",
        "sales_organization": "1010",
    }
    success = Answer(201, b'{"d": {"SalesOrder": "7"}}')
    requests_per_call = 2
    exempt = {"many_threads_fetch_one_token": NO_TOKENS, "a_refused_token_is_renewed_once": NO_TOKENS}

    def reply(self, request: Request) -> Answer:
        if request.method == "GET":
            return Answer(body=b'{"d": {"results": []}}', headers={"x-csrf-token": "csrf-7f3a91"})
        return self.success

    def key_of(self, request: Request, envelope: Envelope) -> str:
        return str(request.json["PurchaseOrderByCustomer"])


class TestSAPWithOAuth(TestSAP):
    config = {
        "base_url": "{server}",
        "token_url": "{server}/token",
        "client_id": "app-7",
        "client_secret": "canary-secret-7f3a91",
        "sales_organization": "1010",
    }
    exempt = {}
