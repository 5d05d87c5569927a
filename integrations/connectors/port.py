"""The port: what a connector gets and what it gives.

A connector is code for one kind of system. It gets an `Envelope` and sends it through the client it was
given; it returns a `Receipt` or raises one error of integrations/errors.py. It knows no ORM, no Celery and no
retry loop: when to try again is the lane's business.

`ERPConnectorPort` is the same port for orders: `export` one, `test_connection`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from integrations.auth.token import TokenStore
from integrations.compat.errors import ConnectorError
from integrations.transport.port import HttpClient
from integrations.transport.tcp import Conversation, Security

from .manifest import HEADERS, URL, Manifest
from .summary import Summary, SummaryFormat, summarise
from .texts import filled, shown

__all__ = [
    "Binding",
    "Client",
    "ConnectorError",
    "ERPConnectorPort",
    "Envelope",
    "ExportResult",
    "Receipt",
    "TestResult",
]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event on its way to one integration, the same bytes and key at every attempt.

    Attributes:
        idempotency_key: the ``webhook-id`` on the wire; a receiver drops what it has seen.
        body: the payload, UTF-8 JSON: the event's body, or what the subscription makes of it.
        event_body: the event's own body where `body` is another; empty: they are the same.
        sequence: ascends per object; 0 for a test event.
        attempt: 1 for the first try.
        summary_format: how its trigger handler says that it reads; None: as any event does.
        is_test: a person tries the integration with a made-up event.
        payload_version: of the body that `body` is, or is made of; 0: it has none (a plain test event).
        progress: what earlier attempts have done already, as their errors said (`IntegrationError.progress`).
    """

    event_type: str
    idempotency_key: str
    body: bytes
    sequence: int = 0
    attempt: int = 1
    progress: Mapping[str, Any] = field(default_factory=dict, repr=False)
    summary_format: SummaryFormat | None = field(default=None, repr=False)
    event_body: bytes = field(default=b"", repr=False)
    payload_version: int = 0
    is_test: bool = False

    @property
    def payload(self) -> dict[str, Any]:
        """The body as a dict; {} if it is no JSON object."""
        return _object(self.body)

    def summary(self, lines: Iterable[str] = ()) -> Summary:
        """Return the event in words; `lines`: what the tenant wants listed, ``Customer: invoice.customer.name``.

        Whoever wrote the trigger handler knows the event's body, and a tenant the payload that the subscription makes:
        title, description and link are read from the one, `lines` from the other.
        """
        if not self.event_body:
            summary = summarise(self.payload, self.event_type, lines, self.summary_format)
        else:
            summary = summarise(_object(self.event_body), self.event_type, (), self.summary_format)
            if wanted := list(lines):
                summary = replace(summary, lines=tuple(shown(wanted, self.payload)))
        if self.is_test:  # the object is made up: nobody can look at it
            summary = replace(summary, title=self._marked(summary.title), link="")
        return summary

    def title(self, text: str = "") -> str:
        """Return `text`, whose ``{…}`` are filled in, on one line; without `text`, what happened to what."""
        filled_in = self._marked(filled(text, self.payload)) if text else self.summary().title
        return " ".join(filled_in.split()) or self.event_type or "Event"

    def _marked(self, title: str) -> str:
        """Return `title`, which says of a test event that it is one."""
        is_said = not self.is_test or self.event_type == "test"
        return title if is_said else f"Test: {title}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Binding:
    """What one tenant configured, decrypted for the length of a slice; never logged or stored.

    Attributes:
        signing_keys: the stored keys, as signing_keys.py writes them; those that sign now are `signing_secrets`.
        signing_secrets: ``whsec_…``/``whsk_…`` keys that sign now, newest first; empty: unsigned.
        timeout: total deadline of one request, seconds; None: the connector's or the setting.
        attempts: how often the HTTPClient may try: 1 in a lane, which retries itself; more for a call that somebody
            waits for.
        tokens: where OAuth tokens are kept; None: in memory only.
        ids: whose settings these are, for the log.
    """

    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    signing_keys: Sequence[Any] = field(default=(), repr=False, compare=False)
    signing_secrets: tuple[str, ...] = field(default=(), repr=False)
    timeout: float | None = None
    attempts: int = 1
    tokens: TokenStore | None = field(default=None, repr=False)
    ids: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def settings(self) -> dict[str, Any]:
        """All fields in one dict, as a person filled them in."""
        settings = {**self.config, **self.credentials}
        if self.url:
            settings[URL] = self.url
        if self.headers:
            settings[HEADERS] = dict(self.headers)
        return settings

    @classmethod
    def from_settings(cls, manifest: Manifest, settings: Mapping[str, Any], **more: Any) -> Binding:
        """Return the binding for one flat dict: what is secret by the manifest goes to the credentials."""
        rest = dict(settings)
        url, headers = str(rest.pop(URL, "") or ""), rest.pop(HEADERS, None) or {}
        is_secret = (lambda name: True) if manifest.is_open else manifest.secret_names.__contains__
        return cls(
            url=url,
            headers=headers,
            credentials={name: value for name, value in rest.items() if is_secret(name)},
            config={name: value for name, value in rest.items() if not is_secret(name)},
            **more,
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver has it. `status` is the HTTP status; `excerpt` the redacted start of its answer.

    Attributes:
        external_id: the receiver's own id of what it made of it, if it told us.
        location: where it lies now, e.g. the name of an uploaded file.
        details: further facts for the log; no secrets.
        remark: what people must know of this success, on the row and in the note: who did not get it.
    """

    status: int | None = None
    excerpt: str = ""
    external_id: str = ""
    location: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What became of an exported order."""

    success: bool
    export_id: Any = None
    storage_key: str | None = None
    connector_metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TestResult:
    """The answer to "does it work?".

    Attributes:
        error_message: None after success.
        message: what happened, for people, without secrets.
        status: HTTP status, if there was one. `excerpt`: at most 500 characters of the redacted answer.
        is_auth_failure: the credentials were refused.
        event_type: of the test event that was sent; "" for a check.
        remark: what people must know of that event: that its subscription's condition would skip it.
    """

    __test__ = False  # not a test case, whatever its name suggests to pytest

    success: bool
    error_message: str | None = None
    latency_ms: float = 0
    message: str = ""
    status: int | None = None
    excerpt: str = ""
    is_auth_failure: bool = False
    event_type: str = ""
    remark: str = ""


class Client(HttpClient, Protocol):
    """The guarded client (transport/http/guarded_client.py): HTTP, and connections for what is not HTTP."""

    def open_tcp(
        self, host: str, port: int, *, ports: Collection[int], security: Security, timeout: float | None = None
    ) -> Conversation: ...


class ERPConnectorPort(ABC):
    """What the domain knows of a connector that takes orders."""

    @abstractmethod
    def export(self, draft_order: Any, config: dict[str, Any]) -> ExportResult:
        """Export `draft_order` (anything with an ``id``) or raise a ConnectorError."""

    @abstractmethod
    def test_connection(self, config: dict[str, Any]) -> TestResult:
        """Try the configuration without exporting anything; never raises, and changes nothing."""
