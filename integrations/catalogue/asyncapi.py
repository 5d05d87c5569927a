"""The catalogue as an AsyncAPI 3.0 document: what a receiver of our webhooks can expect. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .entries import Entry

_HEADERS: dict[str, Any] = {
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
        "webhook-payload-version": {"type": "string", "description": "The version of the payload."},
        "webhook-test": {"type": "string", "description": "true: somebody tries the integration with made-up values."},
        "webhook-sequence": {"type": "string", "description": "Ascends for one object: what is lower is older."},
    },
}


def document(found: Iterable[Entry], *, title: str, version: str) -> dict[str, Any]:
    """Return the document.

    Args:
        version: of the product.
    """
    messages = {name: message for each in found for name, message in _messages(each)}
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
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "send": {
                "action": "send",
                "channel": {"$ref": "#/channels/webhook"},
                "messages": [{"$ref": f"#/channels/webhook/messages/{name}"} for name in messages],
            }
        },
        "components": {"messages": messages},
    }


def _messages(each: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the message of an event type, and one for each older version of its payload: ``workitem_created.v1``."""
    yield each.name, _message(each, each.name, each.version, each.schema, each.example)
    for older in each.older:
        name = f"{each.name}.v{older.version}"
        yield name, _message(each, name, older.version, older.schema, older.example)


def _message(each: Entry, name: str, version: int, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    is_older = version != each.version
    properties = {**_HEADERS["properties"]}
    properties["webhook-payload-version"] = {**properties["webhook-payload-version"], "const": str(version)}
    message: dict[str, Any] = {
        "name": name,
        "title": f"{each.title}, payload version {version}" if is_older else each.title,
        "summary": each.when,
        "headers": {**_HEADERS, "properties": properties},
        "payload": {key: value for key, value in schema.items() if key != "$schema"},
    }
    if example is not None:
        message["examples"] = [{"name": name, "payload": example}]
    return message
