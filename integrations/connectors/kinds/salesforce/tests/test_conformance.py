"""Salesforce on the conformance suite."""

from __future__ import annotations

from typing import Any

from integrations.connectors.kinds.salesforce import SalesforceConnector
from integrations.testing import Answer, ConnectorConformance


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
