"""Where providers commonly say which delivery this is, for webhooks that no connector speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from integrations.connectors.incoming import WebhookDTO

_IDS = ("webhook-id", "x-github-delivery", "x-shopify-webhook-id", "x-wc-webhook-delivery-id")
_EVENTS = ("webhook-event", "x-github-event", "x-shopify-topic", "x-wc-webhook-topic")


def guess(dto: WebhookDTO, headers: Mapping[str, str]) -> WebhookDTO:
    """Return `dto` with the id and the event type that well-known headers give, where it has none."""
    found = {name.lower(): value for name, value in headers.items()}
    return replace(
        dto,
        event_id=dto.event_id or next((found[name] for name in _IDS if found.get(name)), ""),
        event_type=dto.event_type or next((found[name] for name in _EVENTS if found.get(name)), ""),
    )
