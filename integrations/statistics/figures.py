"""Counts of deliveries with the histograms of their durations and ages, and what can be said of them. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

# Upper bounds in milliseconds; what took longer than the last is in one more bucket. A bound that is changed makes what
# was counted before mean something else: add a column, or begin anew.
DURATION_BOUNDS = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000)
AGE_BOUNDS = (100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000)

COUNTS = ("delivered", "retrying", "given_up", "cancelled")
SUMS = ("duration_ms", "age_ms")
DURATIONS = tuple(f"duration_{place}" for place in range(len(DURATION_BOUNDS) + 1))
AGES = tuple(f"age_{place}" for place in range(len(AGE_BOUNDS) + 1))
COLUMNS = (*COUNTS, *SUMS, *DURATIONS, *AGES)


@dataclass(slots=True)
class Figures:
    """What became of some deliveries.

    Attributes:
        delivered: the receiver took it.
        retrying: attempts that failed and are tried again.
        given_up: no further attempt will be made.
        cancelled: a person or a switch ended it.
        duration_ms, durations: of requests that came to an end, whatever it was.
        age_ms, ages: of what was delivered, from when it was recorded (or retried by hand) to the answer.
    """

    delivered: int = 0
    retrying: int = 0
    given_up: int = 0
    cancelled: int = 0
    duration_ms: int = 0
    age_ms: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * len(DURATIONS))
    ages: list[int] = field(default_factory=lambda: [0] * len(AGES))

    @classmethod
    def from_values(cls, values: Sequence[int]) -> Figures:
        """Return figures from the values of COLUMNS, in that order."""
        delivered, retrying, given_up, cancelled, duration_ms, age_ms, *buckets = values
        durations, ages = buckets[: len(DURATIONS)], buckets[len(DURATIONS) :]
        return cls(delivered, retrying, given_up, cancelled, duration_ms, age_ms, durations, ages)

    def values(self) -> list[int]:
        """Return the values of COLUMNS, in that order."""
        counts = [self.delivered, self.retrying, self.given_up, self.cancelled, self.duration_ms, self.age_ms]
        return [*counts, *self.durations, *self.ages]

    def add_duration(self, milliseconds: int) -> None:
        """Count one request that took so long."""
        self.duration_ms += milliseconds
        self.durations[bisect_left(DURATION_BOUNDS, milliseconds)] += 1

    def add_age(self, milliseconds: int) -> None:
        """Count one delivery that was so old."""
        self.age_ms += milliseconds
        self.ages[bisect_left(AGE_BOUNDS, milliseconds)] += 1

    def __add__(self, other: Figures) -> Figures:
        return Figures.from_values([one + two for one, two in zip(self.values(), other.values(), strict=True)])

    @property
    def failed(self) -> int:
        """Attempts that failed, whatever came after."""
        return self.retrying + self.given_up

    @property
    def attempts(self) -> int:
        return self.delivered + self.failed

    @property
    def success_rate(self) -> float | None:
        """The part of all attempts that was taken, 0 to 1; None: there was none."""
        return self.delivered / self.attempts if self.attempts else None

    def duration(self, quantile: float) -> float | None:
        """Return the milliseconds within which this part of all requests ended; None: there was none."""
        return percentile(self.durations, DURATION_BOUNDS, quantile)

    def age(self, quantile: float) -> float | None:
        """Return the milliseconds within which this part of all deliveries arrived; None: there was none."""
        return percentile(self.ages, AGE_BOUNDS, quantile)


def percentile(counts: Sequence[int], bounds: Sequence[int], quantile: float) -> float | None:
    """Return the value below which `quantile` (0 to 1) of what was counted lies, straight between a bucket's bounds.

    Args:
        counts: one more than `bounds`; of the last bucket only its lower bound is known.

    Returns:
        None if nothing was counted.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = quantile * total
    below = 0
    for place, (count, upto) in enumerate(zip(counts, accumulate(counts), strict=True)):
        if count and upto >= wanted:
            if place == len(bounds):
                break
            low = bounds[place - 1] if place else 0
            return low + (bounds[place] - low) * (wanted - below) / count
        below = upto
    return float(bounds[-1])


def total(figures: Iterable[Figures]) -> Figures:
    """Return the sum of `figures`."""
    return sum(figures, Figures())
