"""The time by the database's clock, as far as this process knows it: the one clock that all processes share.

What two machines must agree on is decided in SQL (`times.after`, ``Now()``). Where it cannot be, for a
signature, a token's end or a page that a person reads, these functions stand in for ``time.time`` and ``timezone.now``.
They count on from the last measurement with a clock that nobody sets, so a step of the machine's own clock changes
nothing. A process that never reached the database has its machine's clock and nothing better.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

OFF_SECONDS = 5.0  # a machine's clock that differs by more is spoken of

# Seconds of a clock that only ever counts up, by which `measured` takes the moment; the first one counts on while the
# machine sleeps.
elapsed: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


@dataclass(frozen=True, slots=True)
class _Measurement:
    database: float  # seconds since the epoch, by the database
    elapsed: float  # at the same moment, by the clock that nobody sets
    skew: float  # how far the machine's clock was ahead


_last: _Measurement | None = None


def measured(skew: float, *, local: float, at: float) -> None:
    """Note that the machine's clock, which said `local` at the moment `at` (`elapsed`), is `skew` seconds ahead."""
    global _last
    _last = _Measurement(local - skew, at, skew)


def forget() -> None:
    """Trust the machine's clock again."""
    global _last
    _last = None


def skew() -> float | None:
    """Return how many seconds the machine's clock was ahead when it was last compared; None: it never was."""
    return _last.skew if _last else None


def age() -> float:
    """Return the seconds since the last comparison; infinite if there was none."""
    return elapsed() - _last.elapsed if _last else float("inf")


def timestamp() -> float:
    """Return the seconds since the epoch, as ``time.time`` would on the database's machine."""
    last = _last  # once: another thread may be measuring
    return time.time() if last is None else last.database + elapsed() - last.elapsed


def now() -> datetime:
    """Return the time in UTC, as ``timezone.now`` would on the database's machine."""
    return datetime.fromtimestamp(timestamp(), UTC)


def described(skew: float) -> str:
    """Return "70 s ahead of" or "3 s behind" for people; what follows is whose clock it was compared with."""
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'}"
