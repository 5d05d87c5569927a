"""What GitHub's refusals mean: a 403 is often a rate limit, a 404 often a missing permission.

In: an answer, and the error that the default table makes of it. Out: an error that says what to do.
A 410 is of two kinds. "Issues are disabled" says that the repository takes none: IntegrationGone, so the integration
stops at once and its events wait for a person, instead of failing one by one. Any other 410 is about one deleted issue,
which says nothing about the rest: permanent.
Source: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api, and
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (how long to wait).
"""

from __future__ import annotations

import re
from typing import Any

from integrations.database import clock
from integrations.errors import SETUP, IntegrationError, IntegrationPermanentError, IntegrationRateLimited
from integrations.faults import Fault
from integrations.transport.classify import retry_after_of
from integrations.transport.response import Response
from integrations.transport.retry_after import parse_http_date

AT_LEAST = 60.0  # seconds, where GitHub does not say how long
_ADVICE = {
    301: "the repository was renamed or moved; enter its new name",
    404: "it does not exist, or the token may not see it: a private repository needs a token with access to its issues",
    410: "it was deleted",
    451: "GitHub has closed the repository; ask GitHub",
}
FAULTS = (
    Fault("401", "auth", "the token is wrong or has expired; enter a new one"),
    Fault("403", "auth", "the token lacks a permission, or the organisation does not let it in"),
    *(Fault(str(status), "setup", _ADVICE[status]) for status in (301, 404, 451)),
    Fault(
        "410 issues are disabled",
        "gone",
        "issues are switched off in the repository; switch them on, or choose another",
    ),
    Fault("403 or 429 with a rate limit", "rate_limited"),
    Fault("422 was submitted too quickly", "rate_limited"),
    Fault("422", "event", "the answer names the fields that GitHub does not take"),
    Fault("410 of one issue", "event", _ADVICE[410]),
)
_SETUP = frozenset(int(fault.code) for fault in FAULTS if fault.kind == "setup")
_PERMISSIONS = re.compile(r"[a-z_]+=[a-z]+(?:[,;] ?[a-z_]+=[a-z]+){0,9}")
_NAME = re.compile(r"[A-Za-z_]{1,50}")


def refined(error: IntegrationError, response: Response, host: str) -> IntegrationError:
    """Return what GitHub means where the default table says `error`."""
    answer = response.json_object
    said = str(answer.get("message", "")).lower()
    status = response.status
    wait = _wait(response, said) if status in (403, 422, 429) else None
    if wait is not None:
        return IntegrationRateLimited(
            f"{host} answered {status}: the rate limit is reached",
            status=status,
            retry_after=wait,
            excerpt=error.excerpt,
        )
    if status == 410 and "disabled" in said:
        return _like(error, type(error), "issues are switched off in the repository; switch them on, or choose another")
    advice = _ADVICE.get(status, "")
    if status == 422:
        advice = _wrong_fields(answer.get("errors"))
    if status == 403 and _PERMISSIONS.fullmatch(needed := response.headers.get("x-accepted-github-permissions", "")):
        advice = f"the token lacks a permission; this needs {needed}"
    if not advice:
        return error
    return _like(error, IntegrationPermanentError if status == 410 else type(error), advice)


def _like(error: IntegrationError, kind: type[IntegrationError], advice: str) -> IntegrationError:
    words = f"{error.message.partition(':')[0]}: {advice}"
    fault = SETUP if error.status in _SETUP else None
    return kind(words, code=error.code, status=error.status, excerpt=error.excerpt, fault=fault)


def _wait(response: Response, said: str) -> float | None:
    """Return the seconds to wait, None if this is no rate limit."""
    if response.status == 422:
        is_too_quick = b"submitted too quickly" in response.body.lower()
        return max(retry_after_of(response) or 0.0, AT_LEAST) if is_too_quick else None
    headers = response.headers
    asked = retry_after_of(response)
    if asked is not None:
        return asked
    if headers.get("x-ratelimit-remaining") == "0":
        return _until(headers.get("x-ratelimit-reset", ""), headers.get("date", ""))
    is_limit = response.status == 429 or "rate limit" in said or "abuse detection" in said
    return AT_LEAST if is_limit else None


def _until(reset: str, date: str) -> float:
    """Return the seconds until `reset`, an epoch of GitHub's clock, which may differ from ours."""
    if not re.fullmatch(r"[0-9]{1,12}", reset, re.ASCII):
        return AT_LEAST
    return max(int(reset) - (parse_http_date(date) or clock.now()).timestamp(), 1.0)


def _wrong_fields(errors: Any) -> str:
    """Return ``title: missing_field``: names and codes, never values."""
    found = []
    for error in errors if isinstance(errors, list) else ():
        names = [str(error.get(key, "")) for key in ("field", "code")] if isinstance(error, dict) else []
        if names and all(map(_NAME.fullmatch, names)):
            found.append(": ".join(names))
    return ", ".join(found[:10])
