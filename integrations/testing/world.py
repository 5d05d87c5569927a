"""What every check of a connector stands on: what the author declares, a loopback server, and an adapter bound to it.

The classes beside this one hold the checks, by topic; conformance.py puts them together and tells how to use them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from integrations.auth.token import MemoryTokens, Token
from integrations.connectors.base import BaseConnector
from integrations.connectors.orders import order_body, order_key
from integrations.connectors.port import Binding, Envelope
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

from .receiver import Answer, Receiver, Request

TIMEOUT = 5.0  # seconds for a call that should succeed: a busy machine is no failure of the connector
EVENT = {
    "event_type": "workitem_created",
    "timestamp": "2026-01-05T09:00:00Z",
    "tenant": {"id": 1, "name": "Acme Corp"},
    "workitem": {"id": 7, "reference_id": "WI-7", "description": "Call back", "status": "Open"},
}
TOKEN = Answer(body=b'{"access_token":"at-7f3a91c0ffee","token_type":"Bearer","expires_in":3600}')
ORDER = {"customer": "10100001", "currency": "EUR", "lines": [{"sku": "A-1", "quantity": 2, "price": "10.10"}]}


class World:
    """Declarations of one connector's tests; a subclass gives `connector`, `config` and `success`.

    Attributes:
        connector: the class to check.
        config: a complete configuration, as a person fills it in. ``{server}`` in a text becomes the loopback server's
            base address, ``{host}`` and ``{port}`` its parts. Secrets need eight characters or more, unlike any
            other text, since the checks look for them everywhere.
        success: what the provider answers when all is well; for several calls override `reply`.
        statuses: where the connector reads a status otherwise than transport/classify.py: {404: IntegrationGone}.
        exempt: checks that this connector cannot pass, without ``test_``, and why.
        requests_per_call: how many requests one call may take, at most.
        default_retry_after: the wait of a 429 that does not say how long; None: the lane decides.
        public: fields that sound like a secret and are none.
        grant: for ``authorization_code``: what a person's consent left in the store.
        repeated_page: for connectors that page: an answer that names itself as the next page (see `read_all`).
        speaks_http: False: only the checks that need no HTTP run (mail, SFTP).
    """

    connector: ClassVar[type[BaseConnector]]
    config: ClassVar[Mapping[str, Any]]
    success: ClassVar[Answer] = Answer()
    statuses: ClassVar[Mapping[int, type[IntegrationError]]] = {}
    exempt: ClassVar[Mapping[str, str]] = {}
    requests_per_call: ClassVar[int] = 1
    default_retry_after: ClassVar[float | None] = None
    public: ClassVar[tuple[str, ...]] = ()
    grant: ClassVar[Token | None] = None
    repeated_page: ClassVar[Answer | None] = None
    speaks_http: ClassVar[bool] = True

    # -- hooks --------------------------------------------------------------------------------------------

    def reply(self, request: Request) -> Answer:
        """Return what the provider answers to `request` when all is well."""
        return self.success

    def refusal(self, status: int, headers: Mapping[str, str]) -> Answer:
        """Return what the provider answers when it refuses."""
        return Answer(status, b'{"error": "refused"}', headers)

    def call(self, connector: BaseConnector, envelope: Envelope) -> Any:
        """Make the connector do its work; one that only reads needs another call here."""
        return connector.deliver(envelope)

    def read_all(self, connector: BaseConnector) -> Any:
        """Read something of which there are several pages, to the end."""
        raise NotImplementedError(f"{type(self).__name__}: override read_all(), since repeated_page is given")

    def envelope(self, number: int = 1, attempt: int = 1) -> Envelope:
        """Return event number `number` (an order, if the connector exports); the same one at every attempt."""
        order, event = self.order(number), json.dumps(EVENT).encode()
        if "export" in self.connector.manifest.does:
            return Envelope("order_push", order_key(order), order_body(order), sequence=number, attempt=attempt)
        key = f"evt_conformance{number:08}"
        return Envelope(str(EVENT["event_type"]), key, event, sequence=number, attempt=attempt)

    def order(self, number: int = 1) -> dict[str, Any]:
        """Return order number `number`, for connectors that export."""
        return {"id": f"SO-conformance{number:08}", **ORDER}

    def is_token_request(self, request: Request) -> bool:
        """Tell a request for an access token from the others: those get one, whatever the check is about."""
        return b"grant_type=" in request.body

    def key_of(self, request: Request, envelope: Envelope) -> str:
        """Return what lets the receiver tell a copy of this write from another one, "" if nothing does."""
        for name in ("webhook-id", "idempotency-key", "x-idempotency-key", "x-request-id"):
            if name in request.headers:
                return request.headers[name]
        for key in (envelope.idempotency_key, str(self.order(envelope.sequence)["id"])):
            if key.encode() in request.body or key in request.path:
                return key
        return ""

    # -- the world ----------------------------------------------------------------------------------------

    server: Receiver
    server_place: str  # host:port that the configuration leads to
    client: GuardedClient
    lookups: list[str]  # names that were resolved

    @pytest.fixture(scope="class")
    @classmethod
    def _server(cls) -> Iterator[Receiver]:
        with Receiver() as server:
            yield server

    @pytest.fixture(autouse=True)
    def _world(self, _server: Receiver) -> Iterator[None]:
        with ExitStack() as stack:
            self.server = _server
            self.server.clear()
            self.server_place = self.server.netloc
            ours = {**getattr(django_settings, "INTEGRATIONS", {}), "ALLOWED_HOSTS": [self.server.netloc]}
            stack.enter_context(override_settings(INTEGRATIONS=ours))
            self.lookups = []
            self.client = GuardedClient(AddressPolicy.from_conf(), timeout=TIMEOUT, resolve=self._resolve)
            stack.callback(self.client.close)
            self.answering()
            yield

    def _resolve(self, host: str, port: int, seconds: float) -> list[str]:
        self.lookups.append(host)
        raise IntegrationTemporaryError("tests look up no names", code="dns_failed")

    def answering(self, answer: Answer | None = None) -> None:
        """Let the provider answer everything but token requests with `answer`; None: as when all is well."""

        self._answer = answer
        self.server.answer_with(self.answer_to)

    def answer_to(self, request: Request) -> Answer:
        if self.is_token_request(request):
            return TOKEN
        return self.reply(request) if self._answer is None else self._answer

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Return the configuration with this server's address in it."""
        host, _, port = self.server_place.rpartition(":")
        places = {"{server}": f"http://{self.server_place}", "{host}": host, "{port}": port}
        return {**_placed(dict(self.config), places), **changes}

    def bound(self, client: Any = None, *, timeout: float = TIMEOUT, **changes: Any) -> BaseConnector:
        """Return the connector bound to the configuration with `changes`, checked as a form would."""
        tokens = MemoryTokens(self.grant)
        return self.connector.bound_to(self.settings(**changes), client or self.client, timeout=timeout, tokens=tokens)

    def bound_unchecked(self, client: Any = None, **changes: Any) -> BaseConnector:
        """Return the connector bound to what no form would let pass."""
        settings = {**self.connector.manifest.defaults(), **self.settings(**changes)}
        binding = Binding.from_settings(
            self.connector.manifest, settings, timeout=TIMEOUT, tokens=MemoryTokens(self.grant)
        )
        return self.connector(binding, client or self.client)

    def failure(self, connector: BaseConnector, attempt: int = 1) -> IntegrationError:
        """Call and return the error; anything but an IntegrationError fails the test as itself."""
        try:
            result = self.call(connector, self.envelope(attempt=attempt))
        except IntegrationError as error:
            return error
        pytest.fail(f"the call succeeded: {result!r}")

    def outcome(self, connector: BaseConnector) -> IntegrationError | None:
        """Call and return the error, None after a success."""
        try:
            self.call(connector, self.envelope())
        except IntegrationError as error:
            return error
        return None

    @property
    def work(self) -> list[Request]:
        """The requests so far that were not for a token."""
        return [request for request in self.server.requests if not self.is_token_request(request)]

    @property
    def writes(self) -> list[Request]:
        """Those of them that may change something."""
        return [request for request in self.work if request.method not in ("GET", "HEAD", "OPTIONS")]

    @property
    def secrets(self) -> list[str]:
        """The configured values that must never be seen."""
        manifest, found = self.connector.manifest, []
        for name, value in self.settings().items():
            if manifest.is_open or name in manifest.secret_names:
                found += str(value).splitlines()
            elif name == "headers":
                found += value.values()
            elif name == "url" and manifest.secret_path:
                found += str(value).partition("://")[2].partition("/")[2:]
        return [value for value in found if len(value) >= 8]


def _placed(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for place, text in places.items():
            value = value.replace(place, text)
        return value
    if isinstance(value, Mapping):
        return {name: _placed(item, places) for name, item in value.items()}
    return [_placed(item, places) for item in value] if isinstance(value, list | tuple) else value
