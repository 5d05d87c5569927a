"""A connector that needs a token, an integration of it, and a token endpoint on the receiver."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from integrations.auth.spec import OAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.models import TenantIntegration
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.receiver import Answer, Receiver, Reply, Request

FIELDS = (
    Field(name="base_url", kind="url"),
    Field(name="login_url", kind="url"),
    Field(name="client_id"),
    Field(name="client_secret", kind="secret"),
    Field(name="refresh_token", kind="secret"),
)
CODE = OAuth(
    grant="authorization_code",
    authorize_url="{login_url}/authorize/",
    token_url="{login_url}/token/",
    scopes=("read",),
    extra={"prompt": "consent", "state": "not-ours"},
)


def connector_with(oauth: OAuth, key: str = "hubdemo") -> type[BaseConnector]:
    class HubConnector(BaseConnector):
        manifest = Manifest(key=key, label="Hub", fields=FIELDS, oauth=oauth, does=("deliver", "check"))

        def deliver(self, envelope: Envelope) -> Receipt:
            headers = {"Idempotency-Key": envelope.idempotency_key}
            return self.receipt(self.http.send("POST", "/events", headers=headers, json=envelope.payload))

        def check(self) -> str:
            self.http.get("/api/")
            return "The token is accepted."

    return HubConnector


@contextmanager
def registered(oauth: OAuth = CODE, key: str = "hubdemo") -> Iterator[None]:
    ConnectorRegistry.register(key, connector_with(oauth, key))
    try:
        yield
    finally:
        ConnectorRegistry.unregister(key)


def make_hub(url: str, name: str = "Acme Corp", *, tenant: Any = None, **settings: Any) -> TenantIntegration:
    """An integration of the connector above, with `url` as its API and its provider."""
    secrets = {"client_secret": "canary-secret", "refresh_token": "canary-first", **settings}
    return make_integration(
        tenant or make_tenant(name),
        "",
        signed=False,
        is_signed=False,
        integration_type="hubdemo",
        credentials={name: value for name, value in secrets.items() if value},
        config={"base_url": url, "login_url": url, "client_id": "web"},
    )


class Provider:
    """Answers for both: tokens at /token/ (rotating), and 401 at /events for every token but the newest."""

    def __init__(self, receiver: Receiver, expires_in: int = 3600) -> None:
        self.receiver = receiver
        self.expires_in = expires_in
        self.number = 0
        self.accepts = "newest"
        receiver.answer_with(self.answer)

    @property
    def url(self) -> str:
        return f"http://{self.receiver.netloc}"

    @property
    def tokens(self) -> list[dict[str, str]]:
        """The forms of all token requests."""
        return [form(request) for request in self.receiver.requests if request.path == "/token/"]

    @property
    def events(self) -> list[Request]:
        return [request for request in self.receiver.requests if request.path == "/events"]

    def answer(self, request: Request) -> Reply:
        if request.path == "/token/":
            self.number += 1
            return token_answer(f"access-{self.number}", f"rotated-{self.number}", self.expires_in)
        is_newest = request.headers.get("authorization") == f"Bearer access-{self.number}"
        return 200 if is_newest and self.accepts == "newest" else 401


def token_answer(access: str, refresh: str, expires_in: int) -> Answer:
    values = {"access_token": access, "token_type": "Bearer", "expires_in": expires_in, "refresh_token": refresh}
    return Answer(200, json.dumps(values).encode())


def form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def provider_address(response: Any) -> str:
    """Return where the console's page leads: to the provider (console/page.py)."""
    found = re.search(r'href="([^"]+)" rel="noreferrer"', response.content.decode())
    assert found, "the page leads nowhere"
    return html.unescape(found[1])
