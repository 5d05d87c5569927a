"""What is to be told now, from what is true and what was told before. Pure.

That something is wrong is told once an hour at most, however often it comes and goes; what is still wrong when the hour
is over is told then. That it is over is told at once, to people who know that it was wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

QUIET = timedelta(hours=1)  # between two words about the same thing


@dataclass(frozen=True, slots=True)
class Told:
    """What people know of one thing.

    Attributes:
        is_open: it is wrong, as far as we saw last.
        since: when that began.
        told_at: when they were told last that it is wrong; None: never.
        is_told: they know `is_open`.
    """

    is_open: bool
    since: datetime
    told_at: datetime | None = None
    is_told: bool = False


def seen(before: Told | None, *, is_wrong: bool, since: datetime, now: datetime) -> tuple[Told | None, bool]:
    """Return what is known after a look, and whether people are told now that it is wrong, or that it is over.

    Args:
        since: when it began to be wrong, or to be over.
    """
    if before is None:
        if not is_wrong:
            return None, False
        before = Told(is_open=True, since=since)
    elif before.is_open != is_wrong:
        # Whoever was not told that it is wrong need not hear that it is over.
        before = Told(is_wrong, since, before.told_at, is_told=not is_wrong and not before.is_told)
    if before.is_told or (is_wrong and not may_tell(before.told_at, now)):
        return before, False
    return replace(before, told_at=now if is_wrong else before.told_at, is_told=True), True


def may_tell(told_at: datetime | None, now: datetime) -> bool:
    """Tell whether the last word about the same thing is long enough ago."""
    return told_at is None or now - told_at >= QUIET
