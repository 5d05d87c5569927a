"""Any HTTPS endpoint: a signed POST of the payload (standardwebhooks.com)."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import urlsplit

from integrations.errors import IntegrationError
from integrations.transport import signing
from integrations.transport.classify import error_for, excerpt_of
from integrations.transport.request_headers import USER_AGENT
from integrations.transport.response import Response

from .port import Connector, Envelope, Receipt
from .registry import register


@register
class WebhookConnector(Connector):
    """POSTs the event's bytes, signed, with the tenant's own headers and credentials."""

    key = "webhook"
    label = "Webhook"

    def deliver(self, envelope: Envelope) -> Receipt:
        response = self.client.request(
            "POST",
            self.binding.url,
            headers=self.headers_for(envelope),
            body=envelope.body,
            timeout=self.binding.timeout,
        )
        error = self.classify(response)
        if error is not None:
            raise error
        return Receipt(response.status, excerpt_of(response, self._secrets) if response.body else "")

    def classify(self, response: Response) -> IntegrationError | None:
        """Return what `response` means, None for success. Subclasses know their system's exceptions."""
        return error_for(response, host=self._host, secrets=self._secrets)

    def headers_for(self, envelope: Envelope) -> dict[str, str]:
        """Return the headers of one attempt: the tenant's, then ours, which nobody overrides."""
        timestamp = int(time.time())
        headers = dict(self._fixed_headers)
        headers["webhook-id"] = envelope.idempotency_key
        headers["webhook-timestamp"] = str(timestamp)
        headers["webhook-event"] = envelope.event_type
        headers["webhook-sequence"] = str(envelope.sequence)
        headers["webhook-attempt"] = str(envelope.attempt)
        if self.binding.signing_secrets:
            headers["webhook-signature"] = signing.sign(
                envelope.idempotency_key, timestamp, envelope.body, self.binding.signing_secrets
            )
        return headers

    @cached_property
    def _fixed_headers(self) -> Mapping[str, str]:
        ours = {"Content-Type": "application/json; charset=utf-8", "User-Agent": USER_AGENT}
        merged: dict[str, tuple[str, str]] = {}
        for headers in (authorization(self.binding.credentials), self.binding.headers, ours):
            # The later one wins, however it is spelt: no header may go out twice.
            merged |= {name.lower(): (name, value) for name, value in headers.items()}
        return dict(merged.values())

    @cached_property
    def _host(self) -> str:
        return urlsplit(self.binding.url).hostname or "?"

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        """Every value that an answer might echo back at us."""
        values = [*self.binding.headers.values(), *self.binding.signing_secrets]
        values += [value for value in self.binding.credentials.values() if isinstance(value, str)]
        values += authorization(self.binding.credentials).values()
        # n8n's 404 repeats the path without its prefix; a webhook's path may be all that protects it.
        url = urlsplit(self.binding.url)
        values += [part for part in (url.path, url.query, *url.path.split("/")) if len(part) > 8]
        return tuple(value for value in values if value)


def authorization(credentials: Mapping[str, object]) -> dict[str, str]:
    """Return the headers for ``username``/``password`` (RFC 7617) and ``api_key``/``api_key_header``."""
    headers: dict[str, str] = {}
    if credentials.get("username"):
        pair = f"{credentials['username']}:{credentials.get('password', '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
    if credentials.get("api_key"):
        headers[str(credentials.get("api_key_header") or "X-API-Key")] = str(credentials["api_key"])
    return headers
