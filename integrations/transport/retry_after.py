"""``Retry-After``: how many seconds a receiver asks us to wait.

In: the header's text, our clock, and the answer's own ``Date``. Out: seconds, or None for "nothing usable".
Never raises. The value is bounded (about 31 years) but not capped: the retry policy caps it.
Source: RFC 9110 §10.2.3 and §5.6.7.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from django.utils.http import parse_http_date_safe

LIMIT = 1_000_000_000.0  # seconds; keeps what follows out of OverflowError

_SECONDS = re.compile(r"[0-9]+", re.ASCII)


def parse_retry_after(value: str | None, *, now: datetime, date_header: str | None = None) -> float | None:
    """Return the seconds to wait; 0.0 for ``0``, None for an absent, past or unreadable value.

    Args:
        now: our clock, aware.
        date_header: the answer's ``Date``; a date is measured against it, since both were written by the same
            clock, which may differ from ours.
    """
    text = (value or "").strip(" \t")
    if _SECONDS.fullmatch(text):
        return LIMIT if len(text.lstrip("0")) > 9 else float(int(text[-9:]))
    until = parse_http_date(text)
    if until is None:
        return None
    start = parse_http_date((date_header or "").strip(" \t")) or now
    seconds = (until - start).total_seconds()
    return min(seconds, LIMIT) if seconds > 0 else None


def parse_http_date(text: str) -> datetime | None:
    """Read one of the three forms of HTTP-date; None if it is none of them or no such day exists."""
    # :60 is a valid leap second, which Django's reader refuses.
    seconds = parse_http_date_safe(text.replace(":60 ", ":59 "))
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
