"""BaseConnector: what all connectors share; a subclass is one kind of system.

Unbound it is the port `ERPConnectorPort`: ``export(order, config)``, ``test_connection(config)`` and
``validate_config(config)`` take the configuration as an argument and change nothing. Bound to one integration
(``Kind(binding, client)``) it delivers, answers health checks, and offers whatever its system can do: ``query``,
``create_issue``, ….

A subclass writes `deliver` (an event), or `export` (an order), or both; each is built on the other where it is
missing. `check` is optional: a call that proves the credentials and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from integrations import conf
from integrations.auth.oauth2 import OAuth2, fingerprint
from integrations.auth.scheme import Auth
from integrations.auth.token import process_tokens
from integrations.errors import (
    MAX_MESSAGE,
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationTemporaryError,
    forgets_locals,
    printable,
)
from integrations.faults import Fault
from integrations.telemetry.logs import AnyLogger, logger_for
from integrations.transport.classify import error_for, excerpt_of
from integrations.transport.http.guarded_client import client as process_client
from integrations.transport.http.outgoing import header_secrets
from integrations.transport.http_client import HTTPClient
from integrations.transport.port import Gate
from integrations.transport.redaction import redact, texts_in
from integrations.transport.response import Response
from integrations.transport.tcp import Conversation

from .config_check import check, checked
from .inbound_secret import lines
from .incoming import HANDSHAKES, STORED, Answer, WebhookDTO, parse
from .manifest import Inbound, Manifest, OAuth
from .orders import Order, order_body, order_id, order_key
from .port import Binding, Client, Envelope, ERPConnectorPort, ExportResult, Receipt, TestResult
from .versions import Version

Shape = TypeVar("Shape")

_CALLS = frozenset({"deliver", "export", "check", "connect"})  # whose errors are reported, with what they held


class Timer:
    """Milliseconds since it was started; stands still when its block ends, also by an exception."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._ended: float | None = None

    def stop(self) -> None:
        self._ended = time.perf_counter()

    @property
    def latency_ms(self) -> float:
        return ((self._ended or time.perf_counter()) - self._started) * 1000


class BaseConnector(ERPConnectorPort):
    """Base of all connectors.

    Args:
        binding: one integration's settings, decrypted; None: unbound, and each call brings its own.
        client: the guarded HTTP client; None: the process's own.

    Attributes:
        gate: what its requests pass, where a lane does not send them (connections/abstract.py).
    """

    manifest: ClassVar[Manifest]
    gate: Gate | None = None
    faults: ClassVar[Sequence[Fault]] = ()  # what its system's own codes mean; its page prints them
    takes_only_actions: ClassVar[bool] = False  # True: whoever calls back must name an inbound action

    def __init__(self, binding: Binding | None = None, client: Client | None = None) -> None:
        self.binding = binding or Binding()
        self._client = client

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "manifest" not in cls.__dict__ and not hasattr(cls, "manifest"):
            # Without a manifest it is an ERP that takes any configuration, all of it secret.
            more: dict[str, Any] = {"family": "erp", "allow_multiple": False, "does": ("export",)}
            cls.manifest = Manifest(key=cls.__name__, label=cls.__name__, **more)
        for name in _CALLS & cls.__dict__.keys():
            if cls.__dict__[name] is not getattr(BaseConnector, name):
                setattr(cls, name, forgets_locals(cls.__dict__[name]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host or 'unbound'})"

    # -- names ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.manifest.key

    @property
    def logger(self) -> AnyLogger:
        return logger_for(self.name, self.binding.ids)

    @property
    def client(self) -> Self:
        """The connector itself: ``adapter.client.http`` is where callbacks are added."""
        return self

    @cached_property
    def host(self) -> str:
        """The host that messages name; never a path."""
        return urlsplit(self.base_url).hostname or ""

    # -- its configuration: bound to it or given with a call ------------------------------------------------

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The binding's settings with the manifest's defaults; check with `validate_config`."""
        return {**self.manifest.defaults(), **self.binding.settings}

    @classmethod
    @forgets_locals
    def bound_to(cls, config: Mapping[str, Any], client: Client | None = None, **more: Any) -> Self:
        """Return the connector bound to a flat configuration.

        Raises:
            ConfigurationError: a field is missing or wrong; names, never values.
        """
        return cls(Binding.from_settings(cls.manifest, cls.checked_config(config), **more), client)

    @classmethod
    def checked_config(cls, config: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return `config` with defaults and proper types.

        Args:
            stored: the configuration in whose place it comes, if there is one.

        Raises:
            ConfigurationError: `validate_config`, or `validate_change`, finds something wrong.
        """
        if problems := cls.validate_config(config) if stored is None else cls.validate_change(config, stored):
            raise ConfigurationError(problems)
        return checked(cls.manifest, config, stored)

    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        """Return {field: what is wrong}; {} when `config` is fine."""
        return check(cls.manifest, config)[1]

    @classmethod
    def validate_change(cls, config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, str]:
        """Return {field: what is wrong} with `config` in the place of what is `stored`.

        A rule that came after something was stored may let that stay: it must not stop people from changing others.
        """
        problems = cls.validate_config(config)
        may_stay = check(cls.manifest, config)[1].keys() - check(cls.manifest, config, stored)[1].keys()
        return {name: problem for name, problem in problems.items() if name not in may_stay}

    @forgets_locals
    def validate_required_fields(self, config: Mapping[str, Any], names: Iterable[str]) -> None:
        """Raise ConfigurationError (a ConnectorError) naming those of `names` that `config` lacks."""
        if missing := [name for name in names if config.get(name) in (None, "", [], {})]:
            raise ConfigurationError(dict.fromkeys(missing, "missing; it is required"))

    @classmethod
    def can_migrate(cls, before: Version) -> bool:
        """Tell whether `migrate_config` reads what version `before` (an older major one) stored."""
        return False

    @classmethod
    def migrate_config(cls, config: dict[str, Any], from_version: str) -> dict[str, Any]:
        """Return the flat configuration that version `from_version` stored, as this version wants it."""
        return config

    # -- what a subclass says of its system -----------------------------------------------------------

    @property
    def base_url(self) -> str:
        """What paths are appended to."""
        return str(self.settings.get("base_url") or self.binding.url or "")

    @property
    def oauth(self) -> OAuth | None:
        """How access tokens are got; a connector with several ways chooses by its settings."""
        return self.manifest.oauth

    def make_auth(self) -> Auth:
        """Return how requests authenticate; the default: as `oauth` says, else not at all."""
        oauth = self.oauth
        if oauth is None:
            return Auth()
        return OAuth2(
            oauth,
            self.settings,
            self.binding.tokens or process_tokens(fingerprint(oauth, self.settings)),
            self._client or process_client(),
            allowed_hosts=self.manifest.allowed_hosts,
            timeout=self.binding.timeout or self.manifest.timeout,
        )

    def require_connection(self) -> None:
        """Raise IntegrationNotConnected if a person must connect it at the provider first; nobody is asked."""
        if self.oauth is not None:
            self.auth.require_connection()

    def default_headers(self) -> Mapping[str, str]:
        """Return headers of every request beside those that authenticate."""
        return {}

    def classify(self, response: Response) -> IntegrationError | None:
        """Return what `response` means, None for success. Subclasses know their system's exceptions."""
        if 200 <= response.status < 300:
            return None
        return error_for(response, host=self.host or "the destination", secrets=self.secrets)

    def check(self) -> str:
        """Prove the credentials without changing anything; return a sentence for people or raise.

        A connector whose system offers no such call says so in its manifest (no ``check`` in `does`).
        """
        raise NotImplementedError

    # -- the two ways to send ----------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> Receipt:
        """Send `envelope`; return a receipt or raise an IntegrationError. Called from several threads."""
        if type(self).export is BaseConnector.export:
            raise NotImplementedError(f"{type(self).__name__} has neither a deliver nor an export method")
        failure: IntegrationError | None = None
        try:
            result = self.export(Order.from_payload(envelope.payload, envelope.idempotency_key), self.settings)
        except IntegrationError as error:
            # Not our own words: ConnectorError(f"export failed: {e}") may repeat an address with its key, and so may e.
            failure = error
            failure.message = redact(error.message, self.secrets)
            failure.args, failure.__context__ = (failure.message,), None
        if failure is not None:
            raise failure from None
        if not result.success:
            raise IntegrationTemporaryError(f"{self.name} did not accept the export")
        return Receipt(
            external_id=str(result.export_id or ""),
            location=result.storage_key or "",
            details=result.connector_metadata,
        )

    @forgets_locals
    def export(self, draft_order: Any, config: dict[str, Any]) -> ExportResult:
        """Send `draft_order` as an event ``order_push`` with a key that depends on the order alone."""
        if type(self).deliver is BaseConnector.deliver:
            raise NotImplementedError(f"{type(self).__name__} has neither a deliver nor an export method")
        body = order_body(draft_order)
        envelope = Envelope("order_push", order_key(draft_order), body)
        with self.bound_to(config) as bound:
            receipt = bound.deliver(envelope)
        return ExportResult(
            success=True,
            export_id=receipt.external_id or order_id(draft_order),
            storage_key=receipt.location or None,
            connector_metadata={"status": receipt.status, **receipt.details},
        )

    # -- how its system calls us back; signatures are verified before (inbound/schemes.py) ------------------

    @property
    def inbound(self) -> Inbound | None:
        """How this system calls us back; a kind whose tenants choose overrides it with what they chose."""
        return self.manifest.inbound

    def inbound_secrets(self) -> tuple[str, ...]:
        """Return the secrets that prove a webhook to us, newest first; none: nothing is accepted."""
        inbound = self.inbound
        return tuple(lines(self.settings.get(inbound.secret_field))) if inbound else ()

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookDTO:
        """Return what a delivery says; its signature is proven.

        Raises:
            ValueError: it is not what this system sends.
        """
        return parse(self.inbound, headers, body)

    def is_trial(self, body: bytes) -> bool:
        """Whether this is how the system tries an address when a webhook is saved there, without signing.

        Such a request is answered 200, or people would see an error there; nothing is stored, nothing is done.
        """
        return False

    def handshake(self, dto: WebhookDTO) -> Answer | None:
        """Return the answer to a *signed* trial of the address, which is not stored; None: it is a delivery."""
        answer = HANDSHAKES.get(self.inbound.scheme) if self.inbound else None
        return answer(dto.payload) if answer else None

    def answer(self, status: str) -> Answer:
        """Return what the sender reads whose webhook is dealt with.

        Args:
            status: ``received``; ``duplicate``, it had come before; ``ping``, it was a trial (`is_trial`).
        """
        scheme = self.inbound.scheme if self.inbound else ""
        return STORED.get(scheme) or Answer({"status": status})

    # -- lifecycle ----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Get ready; called before every use, so harmless a second time, and by several threads."""

    def disconnect(self) -> None:
        """Give back what `connect` took; called also after an error, and harmless a second time."""

    def __enter__(self) -> Self:
        try:
            self.connect()
        except BaseException:
            self.disconnect()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    def rotate(self) -> dict[str, Any]:
        """Ask the system for new credentials and return those settings (delivery/rotation.py).

        Only for systems that have such a call. The old ones still work when it returns: `retire` ends them.
        """
        raise NotImplementedError

    def retire(self) -> None:
        """End the credentials that this connector is bound to: those that replace them are stored."""

    @classmethod
    def check_is_offered(cls) -> bool:
        """Tell whether this kind of system has a call for `check`."""
        return cls.check is not BaseConnector.check

    @property
    def can_check(self) -> bool:
        """Tell whether `check` can be asked with these settings."""
        return self.check_is_offered()

    @classmethod
    def rotation_is_offered(cls) -> bool:
        """Tell whether `rotate` can be asked."""
        return cls.rotate is not BaseConnector.rotate

    def health_check(self) -> TestResult:
        """Connect, `check`, disconnect; never raises."""
        timer = Timer()
        try:
            with self:
                message = self.check()
        except NotImplementedError:
            return self.build_test_result(False, timer.latency_ms, f"{self.manifest.label} has no connection check")
        except Exception as error:
            return self.failed_test(error, timer.latency_ms)
        # Most of it is ours, but names of accounts and workspaces are not.
        return TestResult(True, None, timer.latency_ms, message=redact(printable(message), self.secrets)[:MAX_MESSAGE])

    def test_connection(self, config: Mapping[str, Any] | None = None) -> TestResult:
        """Try `config` (None: what it is bound to) within TEST_TIMEOUT_SECONDS; never raises, changes nothing."""
        try:
            if config is None:
                patience = min(self.binding.timeout or conf.TEST_TIMEOUT_SECONDS, conf.TEST_TIMEOUT_SECONDS)
                bound = type(self)(replace(self.binding, timeout=patience, attempts=1), self._client)
            else:
                bound = self.bound_to(config, self._client, timeout=conf.TEST_TIMEOUT_SECONDS)
        except Exception as error:
            return self.failed_test(error, 0)
        return bound.health_check()

    # -- helpers --------------------------------------------------------------------------------------------

    @contextmanager
    def measure_latency(self, what: str) -> Iterator[Timer]:
        """Time a block: ``timer.latency_ms`` is right inside, afterwards, and when the block raises."""
        timer = Timer()
        try:
            yield timer
        finally:
            timer.stop()
            self.logger.debug("%s took %.1f ms", what, timer.latency_ms)

    def build_test_result(
        self, success: bool, latency_ms: float = 0, error_message: str | None = None, **more: Any
    ) -> TestResult:
        """Return a TestResult; a failure has a sentence."""
        words = "It works." if success else (error_message or "It does not work.")
        return TestResult(success, None if success else words, latency_ms, **{"message": words, **more})

    def failed_test(self, error: Exception, latency_ms: float) -> TestResult:
        """Return the TestResult of `error`; of one that is not ours, its type alone."""
        if not isinstance(error, IntegrationError):
            error = IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")
        return self.build_test_result(
            False,
            latency_ms,
            error.message or type(error).__name__,
            status=error.status,
            excerpt=error.excerpt,
            is_auth_failure=isinstance(error, IntegrationAuthError) and error.is_refusal,
        )

    @cached_property
    def auth(self) -> Auth:
        return self.make_auth()

    @cached_property
    def http(self) -> HTTPClient:
        """The HTTPClient for this binding: base address, authentication, bounds; one attempt inside a lane."""
        return HTTPClient(
            self.base_url,
            {**self.default_headers(), **self.binding.headers},
            timeout=self.binding.timeout or self.manifest.timeout,
            max_retries=self.binding.attempts,
            name=self.name,
            client=self._client,
            auth=self.auth,
            allowed_hosts=self.manifest.allowed_hosts,
            secrets=self.secrets,
            secret_path=self.manifest.secret_path,
            classify=self.classify,
            ids=self.binding.ids,
            gate=self.gate,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that an answer might echo back at us."""
        try:
            return (*self._own_secrets, *self.auth.secrets())
        except IntegrationError:  # settings with which nobody can log in hold no further secret
            return self._own_secrets

    @cached_property
    def _own_secrets(self) -> tuple[str, ...]:
        values = [*self.binding.signing_secrets, *texts_in(self.binding.credentials)]
        if self.binding.headers:
            values += [*self.binding.headers.values(), *header_secrets(self.binding.headers)]
        # n8n's 404 repeats the path without its prefix; a webhook's path may be all that protects it.
        url = urlsplit(self.binding.url)
        in_query = (value for _, value in parse_qsl(url.query))  # the sig of a workflow in Teams
        values += [part for part in (url.path, url.query, *url.path.split("/"), *in_query) if len(part) > 8]
        return tuple(value for value in values if value)

    def request(self, *args: Any, **options: Any) -> Response:
        """Send one request as it stands through the guarded client (transport/http/guarded_client.py), past the gate.

        `http` is the way for nearly everybody: it adds the base address and the authentication, and says what an answer
        means.
        """
        client, gate = self._client or process_client(), self.gate
        if gate is None:
            return client.request(*args, **options)
        ticket = gate.enter()
        try:
            response = client.request(*args, **options)
        except IntegrationError as error:
            gate.note(ticket, error)
            raise
        gate.note(ticket, None if response.status < 400 else error_for(response, host="the destination"))
        return response

    def open_tcp(self, *args: Any, **options: Any) -> Conversation:
        """Open one guarded connection for what is not HTTP, past the gate if there is one."""
        client, gate = self._client or process_client(), self.gate
        if gate is None:
            return client.open_tcp(*args, **options)
        ticket = gate.enter()
        try:
            conversation = client.open_tcp(*args, **options)
        except IntegrationError as error:
            gate.note(ticket, error)
            raise
        conversation.on_end = partial(gate.note, ticket)
        return conversation

    def shaped(self, answer: Any, shape: type[Shape]) -> Shape:
        """Return `answer`, parsed JSON, which must be a `shape`.

        Raises:
            IntegrationTemporaryError: ``bad_answer``: it is none, as that of a proxy or a page of maintenance.
        """
        if isinstance(answer, shape):
            return answer
        raise IntegrationTemporaryError(
            f"{self.host} answered, but not as {self.manifest.label} does", code="bad_answer"
        )

    def receipt(self, response: Response, external_id: object = "", **details: Any) -> Receipt:
        """Return the receipt for a successful `response`."""
        excerpt = excerpt_of(response, self.secrets) if response.body else ""
        return Receipt(response.status, excerpt, str(external_id or ""), details=details)
