"""Statistics of measured values: percentiles, medians over runs, ratios, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several runs, with the smallest and the largest of them."""

    median: float
    low: float
    high: float
    runs: int


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which `part` (0 to 1) of `values` lies, interpolated between neighbours; NaN if empty."""
    if not 0 <= part <= 1:
        raise ValueError(f"part is {part}; it must be between 0 and 1")
    if not values:
        return math.nan
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    if ordered[below] == ordered[above]:
        return ordered[below]
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def percentiles(values: Sequence[float], prefix: str = "") -> Metrics:
    """Return p50, p95, p99 and the maximum of `values` under the names ``<prefix>p50`` and so on."""
    named = {f"{prefix}p{part}": percentile(values, part / 100) for part in (50, 95, 99)}
    return {**named, f"{prefix}max": max(values, default=math.nan)}


def spread(runs: Sequence[Mapping[str, float]], metric: str) -> Spread | None:
    """Return the spread of `metric` over `runs`; None if no run has it."""
    found = [run[metric] for run in runs if metric in run and not math.isnan(run[metric])]
    return Spread(median(found), min(found), max(found), len(found)) if found else None


def ratio(value: float | None, base: float | None) -> float | None:
    """Return value ÷ base; None where either is missing or the base is 0."""
    if value is None or base is None or not base or math.isnan(value) or math.isnan(base):
        return None
    return value / base


def written(value: float | None, digits: int = 1) -> str:
    """Return `value` for a table: thousands separated, "–" where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:,.{digits}f}"


def times(value: float | None) -> str:
    """Return a ratio for a table, with as many digits as say something."""
    if value is None:
        return "–"
    return f"{value:,.0f} ×" if value >= 100 else f"{value:.1f} ×" if value >= 10 else f"{value:.2f} ×"
