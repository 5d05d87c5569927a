"""Tokens that are fetched once, and pages that end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

from integrations.errors import IntegrationError

from .world import World

THREADS = 10
MOST_REQUESTS = 20


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
