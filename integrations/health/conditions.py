"""Conditions on the facts about an integration. Each is written once and asked in two ways:

    is_failing = is_known("failing_since") & at_least("failing_rows", 10)
    is_failing.holds(facts, now)      of one integration: True or False
    is_failing.q(columns, now)        of all at once: the same as a `Q`

In a database, what is missing is NULL; each condition is then false, and its opposite true, as in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q

# The name of a fact → what a query calls it.
Columns = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is true of an integration, or not.

    Attributes:
        holds: tells it of the facts about one, at a time.
        q: says it of rows, whose columns have these names.
    """

    holds: Callable[[Any, datetime], bool]
    q: Callable[[Columns, datetime], Q]

    def __and__(self, other: Condition) -> Condition:
        return Condition(
            lambda facts, now: self.holds(facts, now) and other.holds(facts, now),
            lambda columns, now: self.q(columns, now) & other.q(columns, now),
        )

    def __or__(self, other: Condition) -> Condition:
        return Condition(
            lambda facts, now: self.holds(facts, now) or other.holds(facts, now),
            lambda columns, now: self.q(columns, now) | other.q(columns, now),
        )

    def __invert__(self) -> Condition:
        return Condition(lambda facts, now: not self.holds(facts, now), lambda columns, now: ~self.q(columns, now))


def is_true(name: str) -> Condition:
    """It is so; of a fact that is True or False."""
    return Condition(lambda facts, now: bool(getattr(facts, name)), lambda columns, now: Q(**{columns[name]: True}))


def is_known(name: str) -> Condition:
    """It has a value."""
    return Condition(
        lambda facts, now: getattr(facts, name) is not None,
        lambda columns, now: Q(**{f"{columns[name]}__isnull": False}),
    )


def is_said(name: str) -> Condition:
    """The text is not empty."""
    return Condition(
        lambda facts, now: bool(getattr(facts, name)), lambda columns, now: _compared(columns[name], gt="")
    )


def at_least(name: str, number: int) -> Condition:
    """The number is that, or more."""
    return Condition(
        lambda facts, now: getattr(facts, name) >= number, lambda columns, now: _compared(columns[name], gte=number)
    )


def is_after(name: str, earlier: str) -> Condition:
    """It happened later than the other, and both did."""

    def holds(facts: Any, now: datetime) -> bool:
        one, other = getattr(facts, name), getattr(facts, earlier)
        return one is not None and other is not None and one > other

    return Condition(
        holds, lambda columns, now: _compared(columns[name], gt=F(columns[earlier])) & is_known(earlier).q(columns, now)
    )


def is_later_than_now(name: str, *, less: timedelta = timedelta(0)) -> Condition:
    """It is later than now, or than `less` ago."""

    def holds(facts: Any, now: datetime) -> bool:
        moment = getattr(facts, name)
        return moment is not None and moment > now - less

    return Condition(holds, lambda columns, now: _compared(columns[name], gt=now - less))


def lies_behind(name: str, first: str, least: timedelta) -> Condition:
    """It happened at least so long after `first`."""

    def holds(facts: Any, now: datetime) -> bool:
        one, other = getattr(facts, name), getattr(facts, first)
        return one is not None and other is not None and one - other >= least

    return Condition(
        holds,
        lambda columns, now: _compared(columns[name], gte=F(columns[first]) + least) & is_known(first).q(columns, now),
    )


def _compared(column: str, **lookup: Any) -> Q:
    """Return the comparison of a column that may be NULL: never NULL itself, so that its opposite can be asked."""
    ((name, value),) = lookup.items()
    return Q(**{f"{column}__isnull": False}) & Q(**{f"{column}__{name}": value})
