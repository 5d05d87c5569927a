"""The connectors that speak SMTP, IMAP and SFTP, on the part of the conformance suite that needs no HTTP."""

from __future__ import annotations

from integrations.connectors.kinds.dropzone import DropzoneJsonV1Connector
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


class TestDropzone(ConnectorConformance):
    connector = DropzoneJsonV1Connector
    config = {
        "host": "{host}",
        "port": "{port}",
        "username": "outbox",
        "password": "canary-password-7f3a91",
        "host_key": ["256 SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU root@sftp (ED25519)"],
    }
    speaks_http = False
    public = ("host_key",)
