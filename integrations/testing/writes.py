"""What is written: once or with a key, the same at every attempt, from several threads, and as an order. What is read:
tokens that are fetched once, and pages that end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

from integrations.connectors.port import ExportResult
from integrations.errors import IntegrationError

from .world import World

THREADS = 8
MOST_REQUESTS = 20


class WriteChecks(World):
    def test_a_copy_can_be_told(self) -> None:
        """The same event at two attempts has the same key on the wire; another event has another."""
        connector, keys = self.bound(), []
        for number, attempt in ((1, 1), (1, 2), (2, 1)):
            envelope = self.envelope(number, attempt)
            self.server.clear()
            self.call(connector, envelope)
            assert self.writes, "nothing was written"
            keys.append([self.key_of(request, envelope) for request in self.writes])
        first, second, other = keys
        assert all(first), "a write carries no key: no receiver can tell a copy (override key_of, or exempt it)"
        assert first == second, "another attempt has another key"
        assert first != other, "two events have the same key"

    def test_every_attempt_sends_the_same(self) -> None:
        connector, bodies = self.bound(), []
        for attempt in (1, 2):
            self.server.clear()
            self.call(connector, self.envelope(attempt=attempt))
            bodies.append([(request.method, request.path, request.body) for request in self.writes])
        assert bodies[0] == bodies[1], "make the body from the event alone: no clock, no chance, no attempt number"

    def test_several_threads_may_use_it(self) -> None:
        connector = self.bound()
        envelopes = [self.envelope(number) for number in range(1, THREADS + 1)]
        self.call(connector, envelopes[0])
        each = len(self.writes)
        with ThreadPoolExecutor(THREADS - 1) as pool:
            results = list(pool.map(lambda envelope: self.call(connector, envelope), envelopes[1:]))
        assert len(results) == THREADS - 1
        assert len(self.writes) == each * THREADS
        if "a_copy_can_be_told" not in self.exempt:
            keys = {self.key_of(request, envelope) for request in self.writes for envelope in envelopes}
            assert len(keys - {""}) >= THREADS, "threads sent each other's events"


class ExportChecks(World):
    def test_an_order_is_exported(self) -> None:
        result = self.connector(None, self.client).export(self.order(), self.settings())
        assert isinstance(result, ExportResult) and result.success
        assert result.export_id not in (None, "")


class CheckChecks(World):
    """`check`: proves the credentials and changes nothing."""

    def test_a_check_that_succeeds(self) -> None:
        result = self.bound().test_connection()
        assert result.success, result.error_message
        assert result.message and result.latency_ms > 0
        assert self.work, "a check asks the provider"

    def test_a_check_says_that_the_credentials_are_refused(self) -> None:
        self.answering(self.refusal(401, {}))
        result = self.bound().test_connection()
        assert not result.success and result.is_auth_failure, "401 is an IntegrationAuthError"
        assert result.error_message


class OAuthChecks(World):
    def test_many_threads_fetch_one_token(self) -> None:
        connector, barrier = self.bound(), Barrier(THREADS)

        def work(number: int) -> None:
            barrier.wait(10)
            self.call(connector, self.envelope(number))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, range(1, THREADS + 1)))
        tokens = [request for request in self.server.requests if self.is_token_request(request)]
        assert len(tokens) == 1, f"{len(tokens)} requests for a token"
        assert len(self.work) >= THREADS

    def test_a_refused_token_is_renewed_once(self) -> None:
        self.answering(self.refusal(401, {}))
        self.failure(self.bound())
        tokens = [request for request in self.server.requests if self.is_token_request(request)]
        assert len(tokens) <= 2, "a new token that is refused too is a 401, and not a reason for another"


class PagingChecks(World):
    def test_a_page_that_comes_again_ends_it(self) -> None:
        self.answering(self.repeated_page)
        with suppress(IntegrationError):  # saying so is as good as stopping
            self.read_all(self.bound())
        assert 1 <= len(self.work) <= MOST_REQUESTS
