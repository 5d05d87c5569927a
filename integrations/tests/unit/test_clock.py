"""The clock that all processes share, as this one knows it."""

from __future__ import annotations

import time

import pytest

from integrations.database import clock


def test_without_a_measurement_it_is_the_machines_clock() -> None:
    assert clock.skew() is None and clock.age() == float("inf")
    assert clock.timestamp() == pytest.approx(time.time(), abs=1)
    assert clock.now().timestamp() == pytest.approx(time.time(), abs=1)


@pytest.mark.parametrize("skew", [70.0, -70.0, 7200.0])
def test_a_measurement_corrects_it(skew: float) -> None:
    clock.measured(skew, local=time.time(), at=clock.elapsed())
    assert clock.timestamp() == pytest.approx(time.time() - skew, abs=1)
    assert clock.skew() == skew and clock.age() < 10


def test_a_step_of_the_machines_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.measured(0.0, local=1_000_000.0, at=clock.elapsed())
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert clock.timestamp() == pytest.approx(1_000_000, abs=10)


def test_what_people_read() -> None:
    assert [clock.described(skew) for skew in (70.4, -3.0)] == ["70 s ahead of", "3 s behind"]
