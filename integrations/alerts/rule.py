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
        is_quiet: they were told by mail alone.
    """

    is_open: bool
    since: datetime
    told_at: datetime | None = None
    is_told: bool = False
    is_quiet: bool = False


def seen(
    before: Told, *, is_wrong: bool, since: datetime, now: datetime, patience: timedelta = timedelta(0)
) -> tuple[Told, bool]:
    """Return what is known after a look, and whether people are told now that it is wrong, or that it is over.

    Args:
        since: when it began to be wrong, or to be over.
        patience: how long it must have been wrong before it is told.
    """
    if before.is_open != is_wrong:
        # Whoever was not told that it is wrong need not hear that it is over.
        is_told = not is_wrong and not before.is_told
        before = replace(before, is_open=is_wrong, since=since, is_told=is_told)
    elif is_wrong and not before.is_told:
        before = replace(before, since=since)  # it may have been over between two looks
    is_early = is_wrong and (now - before.since < patience or not may_tell(before.told_at, now))
    if before.is_told or is_early:
        return before, False
    return replace(before, told_at=now if is_wrong else before.told_at, is_told=True), True


def may_tell(told_at: datetime | None, now: datetime) -> bool:
    """Tell whether the last word about the same thing is long enough ago."""
    return told_at is None or now - told_at >= QUIET
