"""A webhook that came: what its bytes and headers say, in one form for all providers, and what its sender is answered.

In: the body and the headers of a delivery. Out: a payload that both databases can hold, in a `WebhookDTO`; an `Answer`.
Errors: ``ContentRefused``, in words that name the fix; the signature was right, so it answers 400.

Strict where JSON is: UTF-8, no NaN, no number without end. The raw body is stored beside the result; nothing is cut.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from integrations.transport import signing

from .manifest import Inbound
from .texts import value_at

MAX_DEPTH = 100  # lists and objects within each other; both databases and Python take more
MAX_VALUES = 100_000  # a megabyte of empty lists takes seconds to store and to read again ...
BYTES_PER_VALUE = 20  # ... and what is longer may have more of them, so that real texts pass
MAX_FORM_FIELDS = 1000
REPLACEMENT = "\ufffd"  # of what no database holds
FORM = "application/x-www-form-urlencoded"

_FORM_START = re.compile(rb"[\w.%+\[\]-]+=", re.ASCII)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class WebhookDTO:
    """One delivery, parsed.

    Attributes:
        event_type: the provider's own word, e.g. ``order.created``; "" if it says none.
        payload: the body as JSON values; ``{"raw": …}`` for JSON that is no object.
        event_id: the provider's id of this delivery, "" if it gives none.
    """

    event_type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    event_id: str = ""


def parse(inbound: Inbound | None, headers: Mapping[str, str], body: bytes) -> WebhookDTO:
    """Return what headers and body say, where `inbound` says they say it.

    Raises:
        ContentRefused: (a ValueError) the body is not what this kind of system sends.
    """
    found = {name.lower(): value for name, value in headers.items()}
    sends_forms = inbound is None or inbound.sends_forms
    payload = payload_of(body, found.get("content-type", ""), sends_forms=sends_forms)
    if inbound is None:
        return WebhookDTO(_at(payload, "event_type") or _at(payload, "type"), payload)
    event_type = _header(found, inbound.event_header) or _at(payload, inbound.event_path)
    event_id = _header(found, inbound.id_header) or _at(payload, inbound.id_path)
    if inbound.scheme == "standard-webhooks" and inbound.id_header.lower() in ("webhook-id", "svix-id"):
        event_id = signing.message_id_in(headers) or event_id  # of two that are there, the signed one
    return WebhookDTO(event_type, payload, event_id)


def _header(found: Mapping[str, str], name: str) -> str:
    """Return the header `name`; Shopify has each of its own also without the ``X-``."""
    name = name.lower()
    value = found.get(name, "")
    return value or (found.get(name.removeprefix("x-"), "") if name.startswith("x-shopify-") else "")


def _at(payload: Any, expression: str) -> str:
    """Return the text or number that `expression` finds, "" if there is none."""
    value = value_at(payload, expression) if expression else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


class ContentRefused(ValueError):
    """The body is not what its provider said it would send."""


def payload_of(body: bytes, content_type: str = "", *, sends_forms: bool = False) -> dict[str, Any]:
    """Return the payload: a JSON object as it is, any other JSON value as ``{"raw": value}``, a form as its fields.

    Args:
        content_type: the header's value, parameters and all; wrong ones are common, so it only chooses what is
            tried first.
        sends_forms: the manifest's word: WooCommerce's ping and GitHub's ``payload=…`` are forms.

    Raises:
        ContentRefused: empty, no JSON, not UTF-8, NaN, too deep, too many values.
    """
    if not body.strip():
        raise ContentRefused("The body is empty; send a JSON object.")
    media_type = content_type.partition(";")[0].strip().lower()
    if sends_forms and not media_type.endswith("json") and _FORM_START.match(body):
        return _form(body)
    return _as_object(_json(body), max(MAX_VALUES, len(body) // BYTES_PER_VALUE))


def _as_object(value: Any, most: int = MAX_VALUES) -> dict[str, Any]:
    storable = _storable(value, MAX_DEPTH, itertools.count(-most))
    return storable if isinstance(storable, dict) else {"raw": storable}


def _form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError:  # UnicodeDecodeError included
        raise ContentRefused(f"The form is not UTF-8, or has more than {MAX_FORM_FIELDS} fields.") from None
    if len(pairs) == 1 and pairs[0][0] == "payload":
        return _as_object(_json(pairs[0][1].encode()), max(MAX_VALUES, len(body) // BYTES_PER_VALUE))  # GitHub's way
    fields: dict[str, Any] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return _as_object({name: values[0] if len(values) == 1 else values for name, values in fields.items()})


def _json(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")  # some systems begin with a byte order mark
    except UnicodeDecodeError:
        raise ContentRefused("The body is not UTF-8; send JSON in UTF-8.") from None
    try:
        return json.loads(text, parse_constant=_constant, parse_float=_float)
    except RecursionError:
        raise ContentRefused(f"The JSON is nested deeper than {MAX_DEPTH} levels.") from None
    except ContentRefused:
        raise
    except json.JSONDecodeError as error:
        # Its message names the place and what was expected; never a part of the body.
        raise ContentRefused(f"The body is not JSON (line {error.lineno}, column {error.colno}).") from None
    except ValueError:  # Python reads whole numbers up to 4300 digits
        raise ContentRefused("A number in the JSON is too long; send it as a text.") from None


def _constant(word: str) -> Any:
    raise ContentRefused(f"{word} is not JSON; send null or a number.")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ContentRefused("A number in the JSON is too large; send it as a text.")
    return value


def _storable(value: Any, levels: int, count: Iterator[int]) -> Any:
    """Return `value` with NUL and half surrogates replaced: PostgreSQL refuses them.

    Args:
        levels: how much deeper it may go.
        count: gives how many values there may be after this one, as a negative number.
    """
    if next(count) >= 0:
        raise ContentRefused(f"The JSON has more than {MAX_VALUES} values in so few bytes; send it in parts.")
    if isinstance(value, str):
        return _UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, (dict, list)):
        if not levels:
            raise ContentRefused(f"The JSON is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, list):
            return [_storable(item, levels - 1, count) for item in value]
        return {_UNSTORABLE.sub(REPLACEMENT, key): _storable(item, levels - 1, count) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a 200: a JSON object; None: nothing at all."""

    body: Mapping[str, Any] | None = None


def _slack_handshake(payload: Mapping[str, Any]) -> Answer | None:
    """Slack tries an address with a word that it wants back, and its certificate with ``ssl_check=1``."""
    if payload.get("type") == "url_verification":
        return Answer({"challenge": str(payload.get("challenge", ""))})
    return Answer() if str(payload.get("ssl_check", "")) == "1" else None


HANDSHAKES: dict[str, Callable[[Mapping[str, Any]], Answer | None]] = {"slack": _slack_handshake}

# What stands in the answer to a slash command is shown to whoever typed it, and a modal closes only on an empty one.
STORED: dict[str, Answer] = {"slack": Answer()}
