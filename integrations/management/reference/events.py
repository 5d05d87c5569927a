"""The page of the event types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from integrations.catalogue.entries import Entry, entries
from integrations.management.markdown import json_block, table

MOST_VALUES = 12  # of a choice, in a cell
_INTRO = """# Event types

What can happen in the example project, and the alerts that every project has. `manage.py event_catalogue` prints the
same with JSON Schema; [the catalogue](../event-catalogue.md) says how it is kept. Every payload also has `event_type`,
`timestamp` and `tenant` (`id`, `name`); one that was too large names in `truncated` what was cut."""
_FRAME = ("event_type", "timestamp", "tenant", "truncated")


def page() -> str:
    """Return the page: every event type with when it happens, its fields and an example."""
    found = entries()
    index = table(("event type", "happens when"), ([f"[`{each.name}`](#{each.name})", _when(each)] for each in found))
    return "\n\n".join([_INTRO, index, *(_section(each) for each in found)])


def _when(entry: Entry) -> str:
    return f"{entry.when} Nobody subscribes to it; a backfill sends it." if entry.is_on_request else entry.when


def _section(entry: Entry) -> str:
    properties = entry.schema.get("properties", {})
    fields = {name: schema for name, schema in properties.items() if name not in _FRAME}
    rows = [row for name, schema in fields.items() for row in _rows(name, schema)]
    parts = [f"## `{entry.name}`", _when(entry), table(("field", "kind"), rows)]
    if entry.example is not None:
        parts.append(json_block(entry.example))
    return "\n\n".join(parts)


def _rows(name: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield f"`{name}`", _kind(schema)
    for below, each in schema.get("properties", {}).items():
        yield from _rows(f"{name}.{below}", each)
    items = schema.get("items", {})
    for below, each in items.get("properties", {}).items():
        yield from _rows(f"{name}[].{below}", each)


def _kind(schema: Mapping[str, Any]) -> str:
    types = schema.get("type", "anything")
    words = types if isinstance(types, str) else " or ".join(sorted(types, key=lambda each: each == "null"))
    values = [str(value) for value in schema.get("enum", []) if value not in ("", None)]
    if values:
        shown = ", ".join(f"`{value}`" for value in values[:MOST_VALUES])
        words += f": {shown}{', …' if len(values) > MOST_VALUES else ''}"
    if schema.get("description"):
        words += f"; {schema['description']}"
    return words
