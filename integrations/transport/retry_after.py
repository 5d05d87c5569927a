"""``Retry-After``: how many seconds a receiver asks us to wait.

In: the header's text, our clock, and the answer's own ``Date``. Out: seconds, or None for "nothing usable".
Never raises. The value is bounded (about 31 years) but not capped: the retry policy caps it.
Source: RFC 9110 §10.2.3 and §5.6.7.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

LIMIT = 1_000_000_000.0  # seconds; keeps what follows out of OverflowError

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_DATES = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)


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
    until = parse_http_date(text, now=now)
    if until is None:
        return None
    start = parse_http_date((date_header or "").strip(" \t"), now=now) or now
    seconds = (until - start).total_seconds()
    return min(seconds, LIMIT) if seconds > 0 else None


def parse_http_date(text: str, *, now: datetime) -> datetime | None:
    """Read one of the three forms of HTTP-date; None if it is none of them or no such day exists."""
    match = next((found for pattern in _DATES if (found := pattern.fullmatch(text))), None)
    if match is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        # RFC 9110: two digits that seem more than 50 years ahead mean the past century.
        year += now.year // 100 * 100
        year -= 100 if year > now.year + 50 else 0
    try:
        return datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            min(int(match["second"]), 59),  # a leap second is a valid :60
            tzinfo=UTC,
        )
    except ValueError:
        return None
