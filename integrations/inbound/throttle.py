"""How many webhooks a minute one integration gets stored. Counted in Django's cache; a broken one lets through."""

from __future__ import annotations

import logging
import time

from django.core.cache import cache

from integrations import clock
from integrations.connections.abstract import AbstractConnection

logger = logging.getLogger("integrations.inbound")

# Rows about forged deliveries: enough to see that somebody tries, too few to fill a disk by trying.
REJECTED_PER_MINUTE = 10  # of one connection
ALL_REJECTED_PER_MINUTE = 30
LOGGED_PER_MINUTE = 5  # lines about refusals of one connection: strangers decide how many there are
MINUTE = 60

_quiet_until = 0.0


def is_within(kind: str, connection: AbstractConnection | None, per_minute: int, *, if_unknown: bool = True) -> bool:
    """Count one more of `kind` for `connection`; tell whether that is at most so many in this minute.

    Args:
        if_unknown: the answer while the cache cannot be asked.
    """
    owner = f"{connection._meta.label_lower}:{connection.pk}" if connection is not None else "-"
    key = f"integrations:inbound:{kind}:{owner}:{int(clock.timestamp() // MINUTE)}"
    try:
        if cache.add(key, 1, MINUTE * 2):
            return per_minute >= 1
        return int(cache.incr(key)) <= per_minute
    except Exception as error:  # whatever a cache's client library throws
        _say_that_nobody_counts(error)
        return if_unknown


def may_log(connection: AbstractConnection | None) -> bool:
    """Tell whether one more line about a refusal may go to the log; none while nobody counts."""
    return is_within("logged", connection, LOGGED_PER_MINUTE, if_unknown=False)


def _say_that_nobody_counts(error: Exception) -> None:
    """Once a minute and process: this too happens at every request."""
    global _quiet_until
    if time.monotonic() >= _quiet_until:
        _quiet_until = time.monotonic() + MINUTE
        logger.warning("inbound webhooks are not counted: %s", type(error).__name__)


def seconds_to_next_minute() -> int:
    """Return how long somebody has to wait who came too often."""
    return MINUTE - int(clock.timestamp() % MINUTE)
