"""How often something happened in the present minute, counted in Django's cache.

A cache that processes share counts for all of them; `locmemcache` counts for each process. One that is broken counts
nothing, and callers then let through.
"""

from __future__ import annotations

import logging
import time

from django.core.cache import cache

from integrations.database import clock

logger = logging.getLogger("integrations")

MINUTE = 60

_quiet_until = 0.0


def count(what: str) -> int | None:
    """Count one more of `what`; return how many there were in this minute, this one included. None: nobody counts."""
    key = _key(what)
    try:
        return 1 if cache.add(key, 1, MINUTE * 2) else int(cache.incr(key))
    except Exception as error:  # whatever a cache's client library throws
        _say_that_nobody_counts(error)
        return None


def counted(what: str) -> int:
    """Return how many of `what` there were in this minute; 0 if nobody counts."""
    try:
        return int(cache.get(_key(what)) or 0)
    except Exception as error:
        _say_that_nobody_counts(error)
        return 0


def seconds_left() -> int:
    """Return how long the present minute still lasts, 1 to 60."""
    return MINUTE - int(clock.timestamp() % MINUTE)


def _key(what: str) -> str:
    return f"integrations:{what}:{int(clock.timestamp() // MINUTE)}"


def _say_that_nobody_counts(error: Exception) -> None:
    """Once a minute and process: this happens at every request."""
    global _quiet_until
    if time.monotonic() >= _quiet_until:
        _quiet_until = time.monotonic() + MINUTE
        logger.warning("nothing is counted per minute, so no limit holds: %s", type(error).__name__)
