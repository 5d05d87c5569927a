"""What a provider's webhook says, in one form for all providers.

In: the headers and the body of a delivery whose signature is proven. Out: a `WebhookDTO`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.transport import signing

from . import content
from .manifest import Inbound
from .texts import value_at


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
