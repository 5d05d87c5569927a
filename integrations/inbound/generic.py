"""Where providers commonly say which delivery this is, for webhooks that no connector speaks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from integrations.connectors.incoming import WebhookDTO
from integrations.transport import signing

_IDS = ("webhook-id", "x-github-delivery", "x-shopify-webhook-id", "shopify-webhook-id", "x-wc-webhook-delivery-id")
_EVENTS = ("webhook-event", "x-github-event", "x-shopify-topic", "shopify-topic", "x-wc-webhook-topic")


def guess(dto: WebhookDTO, headers: Mapping[str, str]) -> WebhookDTO:
    """Return `dto` with the id and the event type that well-known headers give, where it has none."""
    found = {name.lower(): value for name, value in headers.items()}
    return replace(
        dto,
        event_id=dto.event_id or signing.message_id_in(found) or _first(found, _IDS),
        event_type=dto.event_type or _first(found, _EVENTS),
    )


def _first(found: Mapping[str, str], names: Iterable[str]) -> str:
    return next((found[name] for name in names if found.get(name)), "")
