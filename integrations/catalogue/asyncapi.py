"""The catalogue as an AsyncAPI 3.0 document: what a receiver of our webhooks can expect. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .entries import Entry

_HEADERS = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp"],
    "properties": {
        "webhook-id": {
            "type": "string",
            "description": "The same for every copy of an event: drop those you have had.",
        },
        "webhook-timestamp": {"type": "string", "description": "When it was sent, in seconds since 1970."},
        "webhook-signature": {
            "type": "string",
            "description": "v1,… by Standard Webhooks: HMAC-SHA256 of id.timestamp.body, one for each valid secret.",
        },
        "webhook-sequence": {"type": "string", "description": "Ascends for one object: what is lower is older."},
    },
}


def document(found: Iterable[Entry], *, title: str, version: str) -> dict[str, Any]:
    """Return the document.

    Args:
        version: of the product.
    """
    listed = list(found)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": "Events as they are POSTed to a webhook, signed by Standard Webhooks.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "webhook": {
                "address": None,
                "description": "The address that a tenant has entered for an integration.",
                "messages": {each.name: {"$ref": f"#/components/messages/{each.name}"} for each in listed},
            }
        },
        "operations": {
            "send": {
                "action": "send",
                "channel": {"$ref": "#/channels/webhook"},
                "messages": [{"$ref": f"#/channels/webhook/messages/{each.name}"} for each in listed],
            }
        },
        "components": {"messages": {each.name: _message(each) for each in listed}},
    }


def _message(each: Entry) -> dict[str, Any]:
    payload = {name: value for name, value in each.schema.items() if name != "$schema"}
    message: dict[str, Any] = {
        "name": each.name,
        "title": each.title,
        "summary": each.when,
        "headers": _HEADERS,
        "payload": payload,
    }
    if each.example is not None:
        message["examples"] = [{"name": each.name, "payload": each.example}]
    return message
