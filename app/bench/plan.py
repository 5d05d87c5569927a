"""What is measured: scenarios with their subjects, metrics and targets. Data only; the measuring is in scenarios/."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SCALES = ("quick", "full")


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity: a column of the table."""

    key: str
    label: str
    digits: int = 1


@dataclass(frozen=True, slots=True)
class Subject:
    """Who does the work: a row of the table, and one process for each run.

    Attributes:
        run: ``module:function`` below app/bench; None: another subject's process measures it in turn with its own.
        project: whose Django settings and database it needs, "ours" or "peers".
        less: what it does not do of what ours does.
        settings: added to those of the scenario.
    """

    key: str
    label: str
    run: str | None
    project: str = "ours"
    less: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    needs_postgres: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach: the median of one metric, or its ratio to another, compared with a bound."""

    label: str
    of: tuple[str, str]  # subject, metric
    bound: float
    is_at_most: bool
    over: tuple[str, str] | None = None
    minus: tuple[str, str] | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question, asked of several subjects in one run.

    Attributes:
        ratio: the metric that ratios are taken of; compared with subject `base`.
        better: whether more or less of it is better.
        chart: the metrics that are drawn.
        quick, full: settings for each scale; quick None: only at full scale.
        rounds: how often each subject runs at full scale, in turn with the others.
    """

    key: str
    title: str
    question: str
    subjects: tuple[Subject, ...]
    metrics: tuple[Metric, ...]
    ratio: str
    base: str
    better: Literal["more", "less"]
    chart: tuple[str, ...]
    unit: str
    full: dict[str, Any]
    quick: dict[str, Any] | None = None
    rounds: int = 3
    quick_rounds: int = 1
    targets: tuple[Target, ...] = ()
    needs_postgres: bool = False

    def settings(self, scale: str) -> dict[str, Any] | None:
        """Return the settings of `scale`; None: not measured at that scale."""
        return self.quick if scale == "quick" else self.full

    def rounds_at(self, scale: str) -> int:
        return self.quick_rounds if scale == "quick" else self.rounds
