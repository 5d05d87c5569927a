"""The drop zone on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.dropzone import DropzoneJsonV1Connector
from integrations.testing import ConnectorConformance


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
