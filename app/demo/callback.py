"""The way back, as a workflow of the receiver's would take it: a signed call that asks for a note."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlsplit

from integrations.connectors.kinds.webhook import SIGNATURE_HEADER
from integrations.errors import IntegrationError, printable
from integrations.transport.client import GuardedClient
from integrations.transport.policy import AddressPolicy

SECONDS = 10.0


def call_back(address: str, secret: str, body: dict[str, object]) -> str:
    """POST `body` to `address`, signed with `secret`, and return the answer in a few words."""
    text = json.dumps(body).encode()
    signature = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
    client = GuardedClient(AddressPolicy(allowed_hosts=(urlsplit(address).netloc,)), timeout=SECONDS)
    try:
        answer = client.request("POST", address, headers=headers, body=text)
        return printable(f"{answer.status} {answer.body[:200].decode(errors='replace')}")
    except IntegrationError as error:
        return f"✗ {error.message}"
    finally:
        client.close()
