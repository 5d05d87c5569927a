"""Counts, histograms and percentiles, without a database."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from integrations.connectors.port import Receipt
from integrations.delivery.outcome import delivered, failed, figures_of, given_up
from integrations.errors import IntegrationPermanentError, IntegrationTemporaryError
from integrations.statistics.figures import AGE_BOUNDS, COLUMNS, DURATION_BOUNDS, Figures, percentile, total
from integrations.statistics.models import IntegrationFigures

from .test_choice import row
from .test_outcome import POLICY

DOWN = IntegrationTemporaryError("down")


def test_a_column_for_each_number_and_back() -> None:
    columns = {field.name for field in IntegrationFigures._meta.concrete_fields}
    assert columns == {"id", "integration", "resolution", "start", *COLUMNS}
    values = list(range(len(COLUMNS)))
    assert Figures.from_values(values).values() == values
    assert total([Figures.from_values(values)] * 2).values() == [2 * value for value in values]


@pytest.mark.parametrize("bounds", [DURATION_BOUNDS, AGE_BOUNDS])
def test_bounds_ascend(bounds: tuple[int, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_percentiles_lie_straight_between_the_bounds_of_their_bucket() -> None:
    figures = Figures()
    for _ in range(10):
        figures.add_duration(15)  # 10 to 20
    assert [figures.duration(part) for part in (0.1, 0.5, 1.0)] == [11, 15, 20]
    for _ in range(90):
        figures.add_duration(300)  # 200 to 500
    assert figures.duration(0.1) == 20
    assert figures.duration(0.55) == 350
    assert (figures.duration_ms, sum(figures.durations)) == (10 * 15 + 90 * 300, 100)


def test_a_bound_belongs_to_its_bucket_and_what_is_beyond_all_to_the_last() -> None:
    figures = Figures()
    for milliseconds in (0, 5, 6, 30_000, 30_001):
        figures.add_duration(milliseconds)
    assert (figures.durations[0], figures.durations[1], figures.durations[-2], figures.durations[-1]) == (2, 1, 1, 1)
    assert percentile([0] * len(DURATION_BOUNDS) + [7], DURATION_BOUNDS, 0.5) == 30_000
    assert percentile([0] * (len(DURATION_BOUNDS) + 1), DURATION_BOUNDS, 0.5) is None


def test_percentiles_are_no_further_off_than_their_bucket() -> None:
    chance = random.Random(7)
    figures, values = Figures(), sorted(int(chance.lognormvariate(4, 1.5)) for _ in range(2_000))
    for value in values:
        figures.add_duration(value)
    for part in (0.5, 0.95, 0.99):
        exact, found = values[int(part * len(values)) - 1], figures.duration(part)
        place = next(n for n, bound in enumerate(DURATION_BOUNDS) if exact <= bound)
        assert found is not None
        assert (DURATION_BOUNDS[place - 1] if place else 0) <= found <= DURATION_BOUNDS[place]


def test_what_became_of_a_slice() -> None:
    figures = figures_of(
        [
            delivered(row(1), Receipt(202), 7, age=1.5),
            replace(delivered(row(2), Receipt(200), 700, age=-0.2)),  # clocks
            failed(row(3), DOWN, 30, POLICY),
            failed(row(4), IntegrationPermanentError("wrong"), 30, POLICY),
            given_up(row(5, attempts=5), DOWN),  # nothing was sent
        ]
    )
    assert (figures.delivered, figures.retrying, figures.given_up, figures.cancelled) == (2, 1, 2, 0)
    assert (figures.attempts, figures.failed, figures.success_rate) == (5, 3, 0.4)
    assert (sum(figures.durations), figures.duration_ms) == (4, 767)
    assert (sum(figures.ages), figures.age_ms) == (2, 1500)


def test_nothing_is_no_success_and_no_failure() -> None:
    assert (Figures().success_rate, Figures().duration(0.5), Figures().age(0.99)) == (None, None, None)
