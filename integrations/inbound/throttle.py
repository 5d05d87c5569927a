"""How many webhooks a minute one integration gets stored. Counted in Django's cache; a broken one lets through."""

from __future__ import annotations

import logging
import time

from django.core.cache import cache

from integrations import clock, conf
from integrations.connections.abstract import AbstractConnection

logger = logging.getLogger("integrations.inbound")

# Rows about forged deliveries: enough to see that somebody tries, too few to fill a disk by trying.
REJECTED_PER_MINUTE = 10  # of one connection
ALL_REJECTED_PER_MINUTE = 30
LOGGED_PER_MINUTE = 4  # lines about refusals of one connection, and one more when it is closed: strangers decide
MINUTE = 60

_quiet_until = 0.0


def is_within(kind: str, connection: AbstractConnection | None, per_minute: int, *, if_unknown: bool = True) -> bool:
    """Count one more of `kind` for `connection`; tell whether that is at most so many in this minute.

    Args:
        if_unknown: the answer while the cache cannot be asked.
    """
    number = _count(kind, connection)
    return if_unknown if number is None else number <= per_minute


def _count(kind: str, connection: AbstractConnection | None) -> int | None:
    """Return how many of `kind` there were in this minute, this one included; None if nobody counts."""
    key = _key(kind, connection)
    try:
        return 1 if cache.add(key, 1, MINUTE * 2) else int(cache.incr(key))
    except Exception as error:  # whatever a cache's client library throws
        _say_that_nobody_counts(error)
        return None


def _key(kind: str, connection: AbstractConnection | None) -> str:
    owner = f"{connection._meta.label_lower}:{connection.pk}" if connection is not None else "-"
    return f"integrations:inbound:{kind}:{owner}:{int(clock.timestamp() // MINUTE)}"


def is_closed(connection: AbstractConnection) -> bool:
    """Tell whether so many calls proved nothing in this minute that the next one is not looked at."""
    try:
        return int(cache.get(_key("refused", connection)) or 0) >= conf.INBOUND_REFUSED_PER_MINUTE
    except Exception as error:
        _say_that_nobody_counts(error)
        return False


def count_refused(connection: AbstractConnection) -> bool:
    """Count one more call that proved nothing; tell whether that is still one of the few that are answered 401."""
    number, most = _count("refused", connection), conf.INBOUND_REFUSED_PER_MINUTE
    if number == most:
        logger.warning(
            "connection %s: %s webhooks without a valid signature in this minute; others now get 429 until it ends",
            connection.pk,
            number,
            extra=connection.log_ids(),
        )
    return number is None or number <= most


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
