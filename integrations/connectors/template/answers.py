"""What an answer says of itself: its fields for expressions, how long to wait, its own words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from integrations.connectors.functions import text_of
from integrations.errors import IntegrationError, printable
from integrations.transport.redaction import redact
from integrations.transport.response import Response
from integrations.transport.retry_after import LIMIT

from .scope import Scope
from .values import Value

MAX_REASON = 200  # characters of what an answer says of itself
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s?", re.ASCII)  # with "s": a Duration of protocol buffers' JSON


def answer(response: Response) -> dict[str, Any]:
    """Return the fields of ``response`` for a received answer; ``json`` is null for what is no JSON."""
    text = response.body[:65536].decode("utf-8", "replace")
    return {"status": response.status, "json": response.json, "text": text, "headers": dict(response.headers.items())}


def reason_in(reason: Value | None, scope: Scope, secrets: Iterable[str]) -> str:
    """Return what an answer says of itself, on one line, redacted; "" if it says nothing."""
    try:
        text = "" if reason is None else text_of(reason.render(scope))
    except IntegrationError:
        return ""
    return redact(printable(" ".join(text.split())), tuple(secrets))[:MAX_REASON]


def seconds_in(wait: Value | None, scope: Scope) -> float | None:
    """Return the seconds that an answer names as ``12``, ``"12.5"`` or ``"34s"``; None for anything else."""
    try:
        value = None if wait is None else wait.render(scope)
    except IntegrationError:
        return None
    if isinstance(value, bool):
        return None
    match = _SECONDS.fullmatch(value) if isinstance(value, str) else None
    number = float(match[1]) if match else value if isinstance(value, int | float) else None
    return min(float(number), LIMIT) if number is not None and number >= 0 else None
