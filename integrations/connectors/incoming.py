"""What a provider's webhook says, in one form for all providers.

In: the headers and the body of a delivery whose signature is proven. Out: a `WebhookDTO`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import content
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
        ContentRefused: (a ValueError) the body is not what this kind of system sends.
    """
    found = {name.lower(): value for name, value in headers.items()}
    sends_forms = inbound is None or inbound.sends_forms
    payload = content.read(body, found.get("content-type", ""), sends_forms=sends_forms)
    if inbound is None:
        return WebhookDTO(_at(payload, "event_type") or _at(payload, "type"), payload)
    event_type = found.get(inbound.event_header.lower(), "") or _at(payload, inbound.event_path)
    event_id = found.get(inbound.id_header.lower(), "") or _at(payload, inbound.id_path)
    return WebhookDTO(event_type, payload, event_id)


def _at(payload: Any, path: str) -> str:
    """Return the text or number at ``a.b.c``, "" if there is none."""
    for key in path.split(".") if path else ():
        payload = payload.get(key) if isinstance(payload, Mapping) else None
    is_plain = isinstance(payload, str | int) and not isinstance(payload, bool)
    return str(payload) if path and is_plain else ""
