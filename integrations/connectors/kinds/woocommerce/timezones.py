"""Times that no clock on earth leaps over.

WordPress reads a time without a zone as one of its own zone, also where it is compared with a column in UTC. In the
night when summer begins, 02:20 does not exist there, and PHP makes 03:20 of it: a bound would move an hour, and what
changed in that hour would be left out. We do not know the shop's zone, so all of them count.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

STEP = timedelta(minutes=30)


def on_every_clock(moment: datetime) -> datetime:
    """Return the naive `moment`, or a time up to some hours before it that every zone's clock shows."""
    while _is_leapt_over(moment):
        moment -= STEP
    return moment


@lru_cache(maxsize=256)
def _is_leapt_over(moment: datetime) -> bool:
    if not datetime.min + timedelta(days=2) < moment < datetime.max - timedelta(days=2):
        return False
    for zone in _zones():
        local = moment.replace(tzinfo=zone)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
            return True
    return False


@lru_cache(maxsize=1)
def _zones() -> tuple[ZoneInfo, ...]:
    return tuple(map(ZoneInfo, sorted(available_timezones())))
