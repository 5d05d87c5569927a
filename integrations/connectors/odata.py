"""Answers of OData V2 services (SAP Gateway): ``{"d": …}`` and ``{"error": {"code", "message": {"value"}}}``.

In: a response whose body may be anything. Out: what is in it, empty for what is not there; never an exception.
"""

from __future__ import annotations

import json
import re
from typing import Any

from integrations.transport.response import Response

_CODE = re.compile(r"[A-Za-z0-9_/.-]{1,40}")


def result_of(response: Response) -> dict[str, Any]:
    """Return ``d``; {} if the answer has none."""
    value = _member(response, "d")
    return value if isinstance(value, dict) else {}


def said(response: Response) -> tuple[str, str]:
    """Return (code, text) of the error, "" for what it does not say; the text is not redacted."""
    error = _member(response, "error")
    if not isinstance(error, dict):
        return "", ""
    code, message = error.get("code"), error.get("message")
    text = message.get("value") if isinstance(message, dict) else message
    return (code if isinstance(code, str) and _CODE.fullmatch(code) else ""), (text if isinstance(text, str) else "")


def _member(response: Response, name: str) -> Any:
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return value.get(name) if isinstance(value, dict) else None
