"""What a provider's webhook says, in one form for all providers.

In: the headers and the body of a delivery whose signature is proven. Out: a `WebhookDTO`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .manifest import Inbound


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
        ValueError: the body is neither JSON nor a form.
    """
    payload = payload_of(body)
    if inbound is None:
        return WebhookDTO(_at(payload, "event_type") or _at(payload, "type"), payload)
    found = {name.lower(): value for name, value in headers.items()}
    event_type = found.get(inbound.event_header.lower(), "") or _at(payload, inbound.event_path)
    event_id = found.get(inbound.id_header.lower(), "") or _at(payload, inbound.id_path)
    return WebhookDTO(event_type, payload, event_id)


def payload_of(body: bytes) -> dict[str, Any]:
    """Return the body as a dict: JSON, else a form's fields (GitHub puts JSON in its field ``payload``)."""
    try:
        value = json.loads(body)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except ValueError:
        fields = dict(parse_qsl(body.decode(), strict_parsing=True, max_num_fields=1000))
        value = json.loads(fields["payload"]) if set(fields) == {"payload"} else fields
    return value if isinstance(value, dict) else {"raw": value}


def _at(payload: Any, path: str) -> str:
    """Return the text or number at ``a.b.c``, "" if there is none."""
    for key in path.split(".") if path else ():
        payload = payload.get(key) if isinstance(payload, Mapping) else None
    is_plain = isinstance(payload, str | int) and not isinstance(payload, bool)
    return str(payload) if path and is_plain else ""
