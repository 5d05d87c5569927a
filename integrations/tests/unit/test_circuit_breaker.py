"""How long to stop hammering."""

from __future__ import annotations

from integrations.delivery.verdicts import CircuitBreaker


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_is_in_doubt_at_the_fifth_failure_in_a_row() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 4)
    assert not breaker.is_in_doubt
    breaker.failed()
    assert breaker.is_in_doubt and breaker.pause is None and not breaker.is_probing
    breaker.open()
    assert breaker.pause == 30 and breaker.is_probing


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = CircuitBreaker()
    fail(breaker, 4)
    breaker.succeeded()
    fail(breaker, 4)
    assert not breaker.is_in_doubt


def test_each_failed_probe_doubles_the_pause_up_to_the_cap() -> None:
    pauses = []
    breaker = CircuitBreaker()
    for _ in range(8):
        breaker.open()
        pauses.append(breaker.pause)
        breaker = CircuitBreaker(breaker.failures, breaker.times_opened)  # as loaded for the next probe
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]


def test_opens_once_per_slice() -> None:
    breaker = CircuitBreaker()
    breaker.open()
    breaker.open()  # eight threads, all timing out
    assert breaker.pause == 30 and breaker.times_opened == 1


def test_a_successful_probe_closes_it() -> None:
    breaker = CircuitBreaker(failures=9, times_opened=3)
    breaker.succeeded()
    assert (breaker.failures, breaker.times_opened, breaker.pause) == (0, 0, None)


def test_an_ancient_outage_does_not_overflow() -> None:
    breaker = CircuitBreaker(failures=10**6, times_opened=10**6)
    breaker.open()
    assert breaker.pause == 900
