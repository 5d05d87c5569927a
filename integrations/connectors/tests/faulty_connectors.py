"""One good connector and many faulty ones, each with one fault that the conformance suite must find.

Not collected by itself: test_conformance_suite.py runs pytest on this file. `FAULTS` says what must fail.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from integrations.auth.scheme import ApiKeyAuth, Auth
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest, OAuth
from integrations.connectors.port import Envelope, ExportResult, Receipt
from integrations.errors import IntegrationAuthError, IntegrationError, IntegrationTemporaryError
from integrations.testing import Answer, ConnectorConformance
from integrations.transport.response import Response

PAGE = Answer(body=b'{"items": [1], "next": "same"}')


class Good(BaseConnector):
    """Does everything, and right."""

    manifest = Manifest(
        key="good",
        label="Good",
        family="erp",
        description="Takes events and orders.",
        docs_url="https://docs.acme.example/",
        fields=(
            Field(name="base_url", kind="url", required=True),
            Field(name="api_key", kind="secret", required=True),
            Field(name="company_id", required=True),
        ),
        allowed_hosts=("api.acme.example",),
        does=("deliver", "export", "check", "read"),
    )

    def make_auth(self) -> Auth:
        return ApiKeyAuth(self.settings["api_key"])

    def deliver(self, envelope: Envelope) -> Receipt:
        response = self.send(envelope, {"Idempotency-Key": envelope.idempotency_key})
        return self.receipt(response, external_id=self.id_in(response))

    def send(self, envelope: Envelope, headers: Mapping[str, str]) -> Response:
        return self.http.send("POST", "/orders", headers=headers, data=envelope.body)

    def id_in(self, response: Response) -> object:
        found = self.http.parsed(response)
        return found.get("id", "") if isinstance(found, dict) else ""

    def check(self) -> str:
        self.http.send("GET", "/me")
        return "Signed in."

    def items(self) -> list[int]:
        found: list[int] = []
        seen: set[str] = set()
        cursor = "first"
        while cursor and cursor not in seen:
            seen.add(cursor)
            page = self.http.get("/items", params={"cursor": cursor})
            found, cursor = [*found, *page["items"]], page.get("next", "")
        return found


class Suite(ConnectorConformance):
    config = {"base_url": "{server}", "api_key": "canary-key-7f3a91", "company_id": "7"}
    success = Answer(201, b'{"id": 7}')


class TestGood(Suite):
    connector = Good
    repeated_page = PAGE

    def read_all(self, connector: BaseConnector) -> Any:
        assert isinstance(connector, Good)
        return connector.items()


class ForgetsTheKeyInALocal(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        headers = {"Idempotency-Key": envelope.idempotency_key, "X-Again": self.settings["api_key"]}
        return self.receipt(self.send(envelope, headers))


class TestForgetsTheKeyInALocal(Suite):
    connector = ForgetsTheKeyInALocal


class TestGoodWithoutSpeakingHttp(Suite):
    connector = type("Mute", (Good,), {"deliver": lambda self, envelope: _greet(self)})
    config = {**Suite.config, "company_id": "{port}"}
    speaks_http = False


def _greet(connector: BaseConnector) -> Receipt:
    """Connects, and waits for a greeting that never comes right."""
    failed = False
    try:
        with socket.create_connection(("127.0.0.1", int(connector.settings["company_id"])), 1) as server:
            failed = not server.recv(100).startswith(b"220 ")
    except OSError:
        failed = True
    if failed:
        raise IntegrationTemporaryError("no greeting")
    return Receipt()


class Tokens(Auth):
    """Fetches one token for all threads."""

    def __init__(self, connector: BaseConnector, lock: Any) -> None:
        self.connector, self.lock, self.token = connector, lock, ""

    def headers(self) -> Mapping[str, str]:
        with self.lock:
            if not self.token:
                answer = self.connector.client.request(
                    "POST", f"{self.connector.base_url}/token", headers={}, body=b"grant_type=client_credentials"
                )
                self.token = json.loads(answer.body)["access_token"]
        return {"Authorization": f"Bearer {self.token}"}

    def secrets(self) -> tuple[str, ...]:
        return (self.token,) if self.token else ()


class WithOAuth(Good):
    manifest = Good.manifest.model_copy(
        update={"oauth": OAuth(grant="client_credentials", token_url="{base_url}/token"), "allowed_hosts": ()}
    )
    lock: Any = None

    def make_auth(self) -> Auth:
        return Tokens(self, self.lock or threading.Lock())


class TestGoodWithOAuth(Suite):
    connector = WithOAuth


# -- the faulty ones ----------------------------------------------------------------------------------------

FAULTS: dict[str, set[str]] = {}


def finds(*checks: str, config: Mapping[str, Any] | None = None, **more: Any) -> Any:
    """Make a test class of `checks` for the decorated connector: each of them must fail."""

    def decorate(kind: type[BaseConnector]) -> type[BaseConnector]:
        name = f"Test{kind.__name__}"
        FAULTS[name] = set(checks)
        values = {"connector": kind, "config": config or Suite.config, **more, "__module__": __name__}
        others = {each for each in dir(Suite) if each.startswith("test_")} - {f"test_{check}" for check in checks}
        globals()[name] = type(name, (Suite,), {**dict.fromkeys(others), **values})
        return kind

    return decorate


@finds("an_echoed_secret_goes_nowhere", "a_failure_shows_no_secret")
class LogsTheKey(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        logging.getLogger("acme").debug("sending with %s", self.settings["api_key"])
        return super().deliver(envelope)


@finds("an_echoed_secret_goes_nowhere", "a_failure_shows_no_secret", call=lambda _, connector, __: connector.orders())
class KeepsTheKeyInALocal(Good):
    """In a call of its own: deliver, export and check forget their locals by themselves."""

    def orders(self) -> Any:
        headers = {"X-Again": self.settings["api_key"]}
        return self.http.get("/orders", headers=headers)


@finds("an_echoed_secret_goes_nowhere")
class RepeatsTheAnswer(Good):
    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        if error is not None:
            error.excerpt = response.body.decode("utf-8", "replace")[:500]
        return error


@finds("an_echoed_secret_goes_nowhere", "a_failure_shows_no_secret")
class ChainsWhatItCaught(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        try:
            return super().deliver(envelope)
        except IntegrationError as error:
            error.__cause__ = RuntimeError(f"POST with {self.settings['api_key']}")
            raise


@finds("its_repr_shows_no_secret", "an_echoed_secret_goes_nowhere", "a_failure_shows_no_secret")
class ShowsItselfWithTheKey(Good):
    def __repr__(self) -> str:
        return f"Acme({self.settings})"


@finds("status", "a_broken_connection_is_temporary")
class TriesAgainByItself(Good):
    def send(self, envelope: Envelope, headers: Mapping[str, str]) -> Response:
        try:
            return super().send(envelope, headers)
        except IntegrationTemporaryError:
            return super().send(envelope, headers)


@finds("status")
class FollowsRedirects(Good):
    def classify(self, response: Response) -> IntegrationError | None:
        if 300 <= response.status < 400:
            self.client.request("GET", self.base_url + response.headers.get("location", ""), headers={})
        return super().classify(response)


@finds("status", "a_check_says_that_the_credentials_are_refused")
class CallsEveryRefusalTemporary(Good):
    def classify(self, response: Response) -> IntegrationError | None:
        if response.status < 300:
            return None
        return super().classify(response) if response.status == 429 else IntegrationTemporaryError("later", status=500)


@finds("retry_after")
class IgnoresRetryAfter(Good):
    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        if error is not None:
            error.retry_after = 5.0
        return error


@finds(
    "strange_bodies",
    "an_echoed_secret_goes_nowhere",
    "a_failure_shows_no_secret",
    "an_oversized_answer_is_not_read_to_its_end",
)
class TrustsTheAnswer(Good):
    def id_in(self, response: Response) -> object:
        return json.loads(response.body)["id"]


@finds("a_copy_can_be_told")
class HasAnotherKeyEachTime(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        return self.receipt(self.send(envelope, {"Idempotency-Key": str(uuid.uuid4())}))


@finds("a_copy_can_be_told", "several_threads_may_use_it")
class HasNoKey(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        return self.receipt(self.http.send("POST", "/orders", json={"text": "Something happened."}))


@finds("every_attempt_sends_the_same")
class SendsTheTime(Good):
    def send(self, envelope: Envelope, headers: Mapping[str, str]) -> Response:
        return self.http.send("POST", "/orders", headers=headers, json={"sent_at": time.time_ns()})


@finds("several_threads_may_use_it")
class KeepsTheEventOnItself(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        self.current = envelope
        time.sleep(0.05)
        return super().deliver(self.current)


@finds("it_uses_the_client_and_nothing_else")
class OpensItsOwnConnection(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        host, _, port = self.base_url.rpartition("/")[2].partition(":")
        with suppress(OSError):
            socket.create_connection((host, int(port or 443)), 1).close()
        return super().deliver(envelope)


@finds("it_goes_nowhere_else")
class GoesAnywhere(Good):
    def deliver(self, envelope: Envelope) -> Receipt:
        headers = {**self.auth.headers(), "Idempotency-Key": envelope.idempotency_key}
        url, body, timeout = f"{self.base_url}/orders", envelope.body, self.binding.timeout
        del envelope
        response = self._sent(url, headers, body, timeout)
        return self.receipt(response)

    def _sent(self, url: str, headers: Any, body: bytes, timeout: float | None) -> Response:
        ready = dict(headers)
        headers.clear()
        try:
            response = self.client.request("POST", url, headers=ready, body=body, timeout=timeout)
        finally:
            del ready
        error = self.classify(response)
        if error is not None:
            raise error
        return response


@finds("the_manifest_is_complete", "secrets_are_marked", config={**Suite.config, "password": "canary-word-7f3a91"})
class SaysLittle(Good):
    manifest = Good.manifest.model_copy(
        update={"description": "", "fields": (*Good.manifest.fields, Field(name="password"))}
    )


@finds("it_does_what_it_says", "a_check_that_succeeds", "a_check_says_that_the_credentials_are_refused")
class OffersNoCheck(Good):
    check = BaseConnector.check


@finds("what_is_missing_is_named")
class AcceptsAnything(Good):
    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        return {}


@finds("secrets_are_long_enough_to_be_looked_for", config={**Suite.config, "api_key": "k"})
class HasAShortSecret(Good):
    """The author's fault, not the connector's."""


@finds("an_order_is_exported")
class ExportsNothing(Good):
    def export(self, draft_order: Any, config: dict[str, Any]) -> ExportResult:
        return ExportResult(success=False)


@finds("many_threads_fetch_one_token")
class FetchesManyTokens(WithOAuth):
    class _NoLock:
        def __enter__(self) -> None: ...
        def __exit__(self, *exc: object) -> None: ...

    lock = _NoLock()


@finds("a_refused_token_is_renewed_once")
class RenewsForEver(WithOAuth):
    def deliver(self, envelope: Envelope) -> Receipt:
        for _ in range(2):
            try:
                return super().deliver(envelope)
            except IntegrationAuthError:
                self.__dict__.pop("auth", None)
                self.__dict__.pop("http", None)
        return super().deliver(envelope)


@finds("a_page_that_comes_again_ends_it", repeated_page=PAGE, read_all=TestGood.read_all)
class ReadsInCircles(Good):
    def items(self) -> list[int]:
        cursor, found = "first", []
        while cursor and len(found) < 50:
            page = self.http.get("/items", params={"cursor": cursor})
            found, cursor = [*found, *page["items"]], page.get("next", "")
        return found


class TestExempt(Suite):
    """What is declared does not fail."""

    connector = HasNoKey
    exempt = {"a_copy_can_be_told": "the system takes no key"}
