"""E-mail on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.email import EmailConnector
from integrations.testing import ConnectorConformance


class TestEmail(ConnectorConformance):
    connector = EmailConnector
    config = {
        "smtp_host": "{host}",
        "smtp_port": "{port}",
        "smtp_security": "plain",
        "username": "outbox",
        "password": "canary-password-7f3a91",
        "sender": "outbox@acme.example",
        "recipients": ["ops@acme.example"],
    }
    speaks_http = False
