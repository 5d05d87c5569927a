"""The OpenAPI document: tags, examples, headers, ``application/problem+json``, ``Idempotency-Key``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict

CONTENT_TYPE = "application/problem+json"
HEADER = "Idempotency-Key"
LONGEST = 255  # characters of it

# Of examples.
INTEGRATION = "0197a3c2-5a4e-7c1e-9d52-6f0b8a1c2d3e"
WHEN = "2026-11-30T12:00:00Z"

TAGS = {
    "Integrations": "Set them up, change their settings, see their health, test, pause, resume, rotate, delete.",
    "Subscriptions": "Which event types an integration wants, under which condition, with which payload.",
    "Connector types": "The kinds of systems that there are, and the settings that each asks for.",
    "Events": "What happened, and the catalogue of what can happen.",
    "Deliveries": "What is owed to whom, each attempt with its exact request; retry, replay, cancel.",
    "Jobs": "Replays and backfills of many rows, with their progress.",
    "Inbound": "Webhooks of providers, and what they did here.",
    "Pulls": "What is fetched by cursor; run one now, start it over.",
    "Pushes": "Orders handed to an ERP.",
    "Statistics": "Figures by the minute, hour and day.",
    "Audit": "Who did what.",
    "Caller": "Who calls.",
}
_WRITES = ("post", "put", "patch", "delete")
_INTEGER = {"schema": {"type": "integer"}}
_QUOTA = {
    "RateLimit-Limit": {"description": "requests of this API key, or person, in a minute", **_INTEGER},
    "RateLimit-Remaining": {"description": "what is left of them", **_INTEGER},
    "RateLimit-Reset": {"description": "seconds until the next minute", **_INTEGER},
}
_RETRY_AFTER = {"Retry-After": {"description": "seconds to wait before it is sent again", **_INTEGER}}
_ETAG = {
    "ETag": {"description": "stands for what was read; for If-Match and If-None-Match", "schema": {"type": "string"}}
}
_LOCATION = {"Location": {"description": "where to read it", "schema": {"type": "string"}}}
# ``openapi_extra`` of operations whose answer says where the new thing is, and perhaps which state it has.
MAKES: dict[str, Any] = {"responses": {201: {"headers": _LOCATION}}}
MAKES_WITH_TAG: dict[str, Any] = {"responses": {201: {"headers": {**_LOCATION, **_ETAG}}}}
TAKES: dict[str, Any] = {"responses": {202: {"headers": _LOCATION}}}
_ONCE = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "schema": {"type": "string", "maxLength": LONGEST},
    "description": "any text: the same request again under the same text is done once, and gets the same answer",
}


def _conditional(name: str, words: str) -> dict[str, Any]:
    header = {"in": "header", "name": name, "required": False, "schema": {"type": "string"}, "description": words}
    return {"parameters": [header]}


# ``openapi_extra`` of operations that go by ETags (conditional.py).
READ_PARAMETERS = _conditional("If-None-Match", "the ETag that you have; unchanged: 304")
WRITE_PARAMETERS = _conditional(
    "If-Match", "the ETag of what you read; changed meanwhile: 412. Without it the last one wins"
)


def example(value: Mapping[str, Any], *, strict: bool = False) -> ConfigDict:
    """Return the ``model_config`` of a schema with this example.

    Args:
        strict: of a body: what it does not know it refuses.
    """
    extra: dict[str, Any] = {"examples": [dict(value)]}
    return ConfigDict(json_schema_extra=extra, extra="forbid") if strict else ConfigDict(json_schema_extra=extra)


def completed(schema: Any) -> Any:
    """Return the document with what all operations have in common."""
    used: list[str] = []
    for item in schema["paths"].values():
        for method, operation in item.items():
            used += [tag for tag in operation.get("tags", []) if tag not in used]
            if method in _WRITES and _ONCE not in operation["parameters"]:
                operation["parameters"] = [*operation["parameters"], _ONCE]
            if any(each["in"] == "query" for each in operation["parameters"]):
                operation["responses"][414] = {"description": "the address is too long, says the web server"}
            has_tag = any(each["name"] in ("If-Match", "If-None-Match") for each in operation["parameters"])
            for status, response in operation["responses"].items():
                _complete(int(status), response, has_tag=has_tag)
    known = [name for name in TAGS if name in used] + [name for name in used if name not in TAGS]
    schema["tags"] = [{"name": name, "description": TAGS.get(name, "")} for name in known]
    return schema


def _complete(status: int, response: dict[str, Any], *, has_tag: bool) -> None:
    content = response.get("content", {})
    if status >= 400 and "application/json" in content:
        content[CONTENT_TYPE] = content.pop("application/json")
    if status == 414:
        return  # it never came to us
    headers = {**_QUOTA, **response.get("headers", {})}
    if has_tag and status in (200, 201, 304, 412):
        headers |= _ETAG
    if status in (409, 429, 503):
        headers |= _RETRY_AFTER
    response["headers"] = headers
