"""When the next request of a paced destination may start; the clock is the test's."""

from __future__ import annotations

import threading

import pytest

from integrations.connectors.manifest import Manifest, RateLimit
from integrations.delivery.pacing import Pacer, interval_of
from integrations.models import TenantIntegration

STATED = Manifest(key="stated", label="Stated", fields=(), rate_limit=RateLimit(per_minute=30))
SILENT = Manifest(key="silent", label="Silent", fields=())


@pytest.mark.parametrize(
    ("own", "manifest", "seconds"),
    [(None, SILENT, 0.0), (None, STATED, 2.0), (120, STATED, 0.5), (6, SILENT, 10.0)],
)
def test_the_integrations_own_limit_goes_before_the_providers(
    own: int | None, manifest: Manifest, seconds: float
) -> None:
    assert interval_of(TenantIntegration(rate_limit_per_minute=own), manifest) == seconds


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_limit_nobody_waits() -> None:
    pacer = Pacer(0.0, 1e9, Clock())
    assert [pacer.wait(0.0) for _ in range(3)] == [0.0] * 3


def test_starts_are_an_interval_apart() -> None:
    pacer = Pacer(2.0, 0.0, Clock())
    assert [pacer.wait(60.0) for _ in range(4)] == [0.0, 2.0, 4.0, 6.0]


def test_time_that_nobody_used_is_not_saved_up() -> None:
    clock = Clock()
    pacer = Pacer(2.0, 0.0, clock)
    pacer.wait(60.0)
    clock.now += 50
    assert [pacer.wait(60.0) for _ in range(2)] == [0.0, 2.0]


def test_what_was_booked_before_counts() -> None:
    assert Pacer(2.0, 103.0, Clock()).wait(60.0) == 3.0


def test_who_would_wait_too_long_reserves_nothing() -> None:
    clock = Clock()
    pacer = Pacer(2.0, 103.0, clock)
    assert pacer.wait(2.9) is None and pacer.next_at == 103.0
    assert pacer.wait(3.0) == 3.0 and pacer.next_at == 105.0


def test_threads_share_one_pace() -> None:
    pacer = Pacer(1.0, 0.0, Clock())
    waits: list[float | None] = []
    threads = [threading.Thread(target=lambda: waits.append(pacer.wait(60.0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 8 and set(waits) == {float(n) for n in range(8)}
