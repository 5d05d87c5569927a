"""What an answer means: the default table from HTTP status to error (docs/state-machine.md).

In: a ``Response`` of the client. Out: None for success, else the error to raise. A connector may decide
otherwise before it asks here (n8n's 404 is temporary, GitHub's 403 may be a rate limit).

    2xx                                   None
    429                                   IntegrationRateLimited, with Retry-After
    401, 403                              IntegrationAuthError
    410                                   IntegrationGone
    301, 308                              IntegrationMoved: a person must change the address
    other 3xx                             IntegrationTemporaryError "redirect": never followed
    408, 421, 423, 425, 5xx, ≥ 600, 1xx   IntegrationTemporaryError, 503 and 529 with Retry-After
    other 4xx                             IntegrationPermanentError
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from http.client import responses

from django.utils.http import parse_http_date_safe

from integrations.database import clock
from integrations.errors import (
    MAX_MESSAGE,
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationMoved,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
    printable,
)
from integrations.transport.redaction import MASK, mask_url, redact
from integrations.transport.response import Response

LIMIT = 1_000_000_000.0  # seconds; keeps what follows out of OverflowError

_SECONDS = re.compile(r"[0-9]+", re.ASCII)

_REDACTED = 32768  # bytes; masking eight million of them takes seconds
_USUAL = 200  # bytes
_MILLISECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
ASKS_TO_WAIT = frozenset({503, 529})  # 529: "overloaded", of several providers; their clients wait as it says
TEMPORARY_4XX = frozenset({408, 421, 423, 425})


def excerpt_of(response: Response, secrets: Iterable[str] = ()) -> str:
    """Return at most 500 characters of the redacted body, on one line, whatever bytes it holds."""
    known = (*secrets, *response.secrets)
    return (_usual_excerpt if len(response.body) <= _USUAL else _excerpt)(response.body, known)


def _excerpt(body: bytes, secrets: tuple[str, ...]) -> str:
    # Redacted before it is cut: a secret that the cut splits would not be found.
    text = printable(body[:_REDACTED].decode("utf-8", "replace"))
    shown = redact(" ".join(text.split()), secrets)
    if len(body) > _REDACTED and len(shown) < MAX_MESSAGE:
        return MASK  # nearly all of it was secret, and its end was split
    return shown[:MAX_MESSAGE]


# Most receivers say the same few words every time, and looking for secrets in them costs as much as sending.
_usual_excerpt = lru_cache(maxsize=256)(_excerpt)


def error_for(
    response: Response, *, host: str, secrets: Iterable[str] = (), now: datetime | None = None
) -> IntegrationError | None:
    """Return the error that `response` stands for, or None if it is a success.

    Args:
        host: named in the message; never the path.
        secrets: masked in the excerpt, beside everything that looks like a secret.
        now: our clock, aware; only used for a Retry-After date without a Date header.
    """
    status = response.status
    if 200 <= status < 300:
        return None
    excerpt = excerpt_of(response, secrets)
    message = f"{host} answered {status} {responses.get(status, '')}".rstrip()
    if status in (301, 308):
        place = mask_url(response.headers.get("location", ""))
        advice = f"redirects are not followed; if {place} is right, change the address"
        return IntegrationMoved(f"{message}: {advice}", status=status, excerpt=excerpt)
    if 300 <= status < 400:
        return IntegrationTemporaryError(
            f"{message}; redirects are not followed", code="redirect", status=status, excerpt=excerpt
        )
    if status in (401, 403):
        return IntegrationAuthError(f"{message}; check the credentials", status=status, excerpt=excerpt)
    if status == 410:
        return IntegrationGone(f"{message}: it wants no more events", status=status, excerpt=excerpt)
    if status == 429:
        return IntegrationRateLimited(
            message, status=status, retry_after=retry_after_of(response, now), excerpt=excerpt
        )
    if 400 <= status < 500 and status not in TEMPORARY_4XX:
        return IntegrationPermanentError(message, code=f"http_{status}", status=status, excerpt=excerpt)
    wait = retry_after_of(response, now) if status in ASKS_TO_WAIT else None
    return IntegrationTemporaryError(message, code=f"http_{status}", status=status, retry_after=wait, excerpt=excerpt)


def retry_after_of(response: Response, now: datetime | None = None) -> float | None:
    """Return the seconds that the answer asks us to wait, None if it does not."""
    headers = response.headers
    asked = parse_retry_after(headers.get("retry-after"), now=now or clock.now(), date_header=headers.get("date"))
    # Finer, of providers such as OpenAI; never less than what the header of the standard says.
    finer = headers.get("retry-after-ms", "").strip()
    if not _MILLISECONDS.fullmatch(finer):
        return asked
    return max(asked or 0.0, float(finer) / 1000)


def parse_retry_after(value: str | None, *, now: datetime, date_header: str | None = None) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110 §10.2.3): 0.0 for ``0``, None for an absent, past or
    unreadable value. At most LIMIT, about 31 years: the retry policy caps it.

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
