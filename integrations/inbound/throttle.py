"""How many webhooks a minute one integration gets stored. Counted in Django's cache; a broken one lets through."""

from __future__ import annotations

import logging

from integrations import conf, per_minute
from integrations.connections.abstract import AbstractConnection

logger = logging.getLogger("integrations.inbound")

# Rows about forged deliveries: enough to see that somebody tries, too few to fill a disk by trying.
REJECTED_PER_MINUTE = 10  # of one connection
ALL_REJECTED_PER_MINUTE = 30
LOGGED_PER_MINUTE = 4  # lines about refusals of one connection, and one more when it is closed: strangers decide


def is_within(kind: str, connection: AbstractConnection | None, most: int, *, if_unknown: bool = True) -> bool:
    """Count one more of `kind` for `connection`; tell whether that is at most so many in this minute.

    Args:
        if_unknown: the answer while the cache cannot be asked.
    """
    number = per_minute.count(_key(kind, connection))
    return if_unknown if number is None else number <= most


def _key(kind: str, connection: AbstractConnection | None) -> str:
    owner = f"{connection._meta.label_lower}:{connection.pk}" if connection is not None else "-"
    return f"inbound:{kind}:{owner}"


def is_closed(connection: AbstractConnection) -> bool:
    """Tell whether so many calls proved nothing in this minute that the next one is not looked at."""
    return per_minute.counted(_key("refused", connection)) >= conf.INBOUND_REFUSED_PER_MINUTE


def count_refused(connection: AbstractConnection) -> bool:
    """Count one more call that proved nothing; tell whether that is still one of the few that are answered 401."""
    number, most = per_minute.count(_key("refused", connection)), conf.INBOUND_REFUSED_PER_MINUTE
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
