"""JSON Schema (2020-12) of what a payload may hold. Pure."""

from __future__ import annotations

from typing import Any

from integrations.connections.payload_shapes import DECIMAL, Shape

_TYPES = {"text": "string", DECIMAL: "string", "number": "number", "boolean": "boolean", "null": "null"}


def schema_of(shape: Shape) -> dict[str, Any]:
    """Return the schema of one place of a payload; ``{}`` where anything may stand."""
    types = sorted({_TYPES.get(kind, kind) for kind in shape.kinds})
    if not types:
        return {}
    found: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    if DECIMAL in shape.kinds:
        found["description"] = "a decimal number as text, so that no digit is lost"
    if shape.values is not None and "object" not in types and "array" not in types:
        found["enum"] = [*sorted(shape.values, key=str), *[""] * ("string" in types), *[None] * ("null" in types)]
    if "object" in types and shape.fields:
        found["properties"] = {name: schema_of(each) for name, each in sorted(shape.fields.items())}
        if not shape.is_open:
            found["additionalProperties"] = False
    if "array" in types and shape.items is not None:
        found["items"] = schema_of(shape.items)
    return found
