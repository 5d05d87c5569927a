"""Values that a manifest accepts, made from what it says of its fields; secrets are canaries."""

from __future__ import annotations

from typing import Any

from hypothesis import find, settings, strategies

from integrations.connectors.manifest import HEADERS, Field, Manifest

CANARY = "canary-4d1e"


def valid_settings(manifest: Manifest) -> dict[str, Any]:
    """Return a flat configuration: every field that can be filled by its kind alone, and all that are required."""
    if manifest.is_open:
        return {"host": "example.com", "token": CANARY}
    return {field.name: _value(field, manifest) for field in manifest.fields if _is_fillable(field)}


def _is_fillable(field: Field) -> bool:
    # What is in free JSON or lines, the kind alone does not say; an address that has a default stays at it.
    free = field.kind in ("json", "lines") and field.name != HEADERS
    return field.required or (not free and field.default is None)


def _value(field: Field, manifest: Manifest) -> Any:
    if field.kind in ("url", "host"):
        host = next(iter(manifest.allowed_hosts), "host.example.com").replace("*", "some")
        return f"https://{host}/{CANARY}" if field.kind == "url" else host
    if field.name == HEADERS:
        return {"X-Extra": CANARY}
    if field.kind == "choice":
        return field.choices[0]
    if field.pattern:
        quick = settings(database=None, derandomize=True, max_examples=300)
        return find(
            strategies.from_regex(field.pattern, fullmatch=True), lambda text: bool(text.strip()), settings=quick
        )
    plain = {"secret": CANARY, "email": "ops@example.com", "boolean": True, "integer": field.minimum or 1}
    plain |= {"json": {}, "lines": ["one"]}
    return plain.get(field.kind, "some-text")
