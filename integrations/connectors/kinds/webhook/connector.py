"""Any HTTPS endpoint: a signed POST of the payload (standardwebhooks.com)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check
from integrations.connectors.inbound_secret import lines
from integrations.connectors.manifest import Field, Inbound, Logo, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.database import clock
from integrations.faults import Fault
from integrations.telemetry import tracing
from integrations.transport import signing
from integrations.transport.classify import excerpt_of
from integrations.transport.http.headers import USER_AGENT, HeaderRejected, check_headers

SIGNATURE_HEADER = "X-Webhook-Signature"  # of what calls us back with a plain HMAC

# What calls back, by how it signs: where it says its id and its event. A plain HMAC signs the body alone, so id and
# action count there: a call that was overheard can be repeated, and is then a copy. Sent to another action's address it
# is a new call, unless the body names its action (docs/inbound.md); then it is refused.
_IN_BODY: dict[str, Any] = {"signature_header": SIGNATURE_HEADER, "id_path": "id", "event_path": "event_type"}
INBOUND = {
    "hmac-sha256-hex": Inbound(scheme="hmac-sha256-hex", **_IN_BODY),
    "hmac-sha256-base64": Inbound(scheme="hmac-sha256-base64", **_IN_BODY),
    "hmac-sha256-prefixed": Inbound(scheme="hmac-sha256-prefixed", **_IN_BODY),
    "standard-webhooks": Inbound(scheme="standard-webhooks", id_header="webhook-id", event_path="event_type"),
    "stripe": Inbound(scheme="stripe", id_path="id", event_path="type"),
    "shopify": Inbound(scheme="shopify", id_header="X-Shopify-Webhook-Id", event_header="X-Shopify-Topic"),
    "github": Inbound(scheme="github", id_header="X-GitHub-Delivery", event_header="X-GitHub-Event", sends_forms=True),
}

DEFAULT = "hmac-sha256-hex"

MANIFEST = Manifest(
    key="webhook",
    label="Webhook",
    family="webhook",
    description="POSTs the payload, signed, to any HTTPS address.",
    needs=("An HTTPS address that takes POST requests",),
    logo=Logo(path="M9 5H5v14h4M11 12h9m-4-4 4 4-4 4", colour="#3b4a63"),
    docs_url="https://www.standardwebhooks.com/",
    signs=True,
    secret_path=True,
    repeats_answers=True,
    fields=(
        Field(
            name="url",
            label="Webhook URL",
            kind="url",
            required=True,
            help="https://host/path. Kept encrypted; after saving only its host is shown. "
            "To change it, replace all of it.",
        ),
        Field(
            name="headers",
            kind="json",
            help='Sent with every request, as JSON: {"X-API-Key": "your-token"}. Values are kept encrypted '
            "and shown as dots; leave the dots to keep a value.",
        ),
        Field(name="username", label="Basic: user name", pattern=r"[^:]{0,255}", hint="must not contain a colon"),
        Field(name="password", label="Basic: password", kind="secret"),
        Field(name="api_key", label="API key", kind="secret", trim=True),
        Field(name="api_key_header", label="API key header", help="Empty: X-API-Key."),
        Field(
            name="webhook_secret",
            label="Secret for calling back",
            kind="secret",
            multiline=True,
            help="Whoever calls us back signs with it: a random text. Empty: nobody may. Two, one per line, while you "
            "change it.",
        ),
        Field(
            name="inbound_scheme",
            label="Calls back signed as",
            kind="choice",
            choices=tuple(INBOUND),
            help="Empty: hmac-sha256-hex, the HMAC of the body; …-prefixed has sha256= before it. A secret for "
            "standard-webhooks begins with whsec_.",
            advanced=True,
        ),
        Field(
            name="inbound_signature_header",
            label="Header of that signature",
            pattern=r"[A-Za-z0-9-]{1,100}",
            hint="must be the name of a header, such as X-Signature",
            help=f"Of the schemes hmac-sha256-…. Empty: {SIGNATURE_HEADER}.",
            advanced=True,
        ),
    ),
    inbound=INBOUND[DEFAULT],  # `inbound_scheme` decides
)


@register
class WebhookConnector(BaseConnector):
    """POSTs the event's bytes, signed, with the tenant's own headers and credentials."""

    manifest = MANIFEST
    faults = (
        Fault("401, 403", "auth", "the receiver refuses the credentials"),
        Fault("410", "gone", "the receiver wants no more events"),
        Fault("429", "rate_limited"),
        Fault("any other answer that is not 2xx", "temporary", "tried for three days: a receiver may be mended"),
    )

    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        """Return {field: what is wrong}; beside each field by itself: what does not fit together."""
        clean, problems = check(cls.manifest, config)
        return {**dict(_conflicts(clean)), **problems}

    @property
    def inbound(self) -> Inbound:
        """How the tenant says that requests come back."""
        chosen = INBOUND.get(str(self.settings.get("inbound_scheme")), INBOUND[DEFAULT])
        header = str(self.settings.get("inbound_signature_header") or "")
        if header and chosen.signature_header:
            return chosen.model_copy(update={"signature_header": header})
        return chosen

    def deliver(self, envelope: Envelope) -> Receipt:
        response = self.request(
            "POST",
            self.binding.url,
            headers=self.headers_for(envelope),
            body=envelope.body,
            timeout=self.binding.timeout,
        )
        error = self.classify(response)
        if error is not None:
            raise error
        return Receipt(response.status, excerpt_of(response, self.secrets) if response.body else "")

    def headers_for(self, envelope: Envelope) -> dict[str, str]:
        """Return the headers of one attempt: the tenant's, then ours, which nobody overrides."""
        timestamp = int(clock.timestamp())
        headers = dict(self._fixed_headers)
        headers["webhook-id"] = envelope.idempotency_key
        headers["webhook-timestamp"] = str(timestamp)
        headers["webhook-event"] = envelope.event_type
        headers["webhook-sequence"] = str(envelope.sequence)
        headers["webhook-attempt"] = str(envelope.attempt)
        if envelope.payload_version:
            headers["webhook-payload-version"] = str(envelope.payload_version)
        if envelope.is_test:
            headers["webhook-test"] = "true"
        if not self._is_traced_by_tenant:
            headers.update(tracing.header())
        if self.binding.signing_secrets:
            headers["webhook-signature"] = signing.sign(
                envelope.idempotency_key, timestamp, envelope.body, self.binding.signing_secrets
            )
        return headers

    @cached_property
    def _fixed_headers(self) -> Mapping[str, str]:
        ours = {"Content-Type": "application/json; charset=utf-8", "User-Agent": USER_AGENT}
        merged: dict[str, tuple[str, str]] = {}
        for headers in (authorization(self.settings), self.binding.headers, ours):
            # The later one wins, however it is spelt: no header may go out twice.
            merged |= {name.lower(): (name, value) for name, value in headers.items()}
        return dict(merged.values())

    @cached_property
    def _is_traced_by_tenant(self) -> bool:
        return any(name.lower() == tracing.HEADER for name in self._fixed_headers)

    @cached_property
    def _own_secrets(self) -> tuple[str, ...]:
        login = f"{self.settings.get('username', '')}:{self.settings.get('password', '')}"
        return (*super()._own_secrets, *authorization(self.settings).values(), *([login] if login != ":" else []))


def _conflicts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, what is wrong) for a header that is set twice, and for halves of a pair."""
    if config.get("password") and not config.get("username"):
        yield "username", "missing: a password needs a user name"
    if config.get("api_key_header") and not config.get("api_key"):
        yield "api_key", "missing: there is a header for an API key, but no key"
    secrets = lines(config.get("webhook_secret"))
    if config.get("inbound_scheme") == "standard-webhooks" and not all(map(signing.is_key, secrets)):
        yield "webhook_secret", "must be whsec_ and base64, one per line; for another secret choose another scheme"
    own = authorization(config)
    taken = {name.lower() for name in config.get("headers") or {}}
    for name in own:
        if name.lower() in taken:
            yield "headers", f"{name} is set here and by the authentication fields; keep one"
    for name, value in own.items():
        where = ("username", "username") if name == "Authorization" else ("api_key_header", "api_key")
        for field, header in zip(where, ({name: ""}, {"X-API-Key": value}), strict=True):
            try:
                check_headers(header)
            except HeaderRejected as rejected:
                yield field, rejected.message


def authorization(credentials: Mapping[str, object]) -> dict[str, str]:
    """Return the headers for ``username``/``password`` (RFC 7617) and ``api_key``/``api_key_header``."""
    headers: dict[str, str] = {}
    if credentials.get("username"):
        pair = f"{credentials['username']}:{credentials.get('password', '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
    if credentials.get("api_key"):
        headers[str(credentials.get("api_key_header") or "X-API-Key")] = str(credentials["api_key"])
    return headers
