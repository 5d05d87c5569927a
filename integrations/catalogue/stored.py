"""The catalogue that is kept in a repository: what receivers were told, and what has changed since. Pure.

Each event type has the number of its version and the words that said what each version changed. A payload that differs
from the stored one is a change that nobody told the receivers of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .entries import Entry

Stored = dict[str, dict[str, Any]]


def changes(stored: Mapping[str, Any], found: Iterable[Entry]) -> list[str]:
    """Return what differs from the stored catalogue, one sentence for each event type."""
    now = {each.name: each for each in found}
    said = [f"{name}: there is no such event type any more." for name in stored if name not in now]
    for name, each in now.items():
        if name not in stored:
            said.append(f"{name}: it is new.")
        elif stored[name]["schema"] != each.schema:
            said += [f"{name}: {words}" for words in _differences(stored[name]["schema"], each.schema, "")]
    return said


def updated(stored: Mapping[str, Any], found: Iterable[Entry], because: str) -> Stored:
    """Return the catalogue to store: versions are counted up, with `because` as the words, where a payload changed."""
    result: Stored = {}
    for each in found:
        before = stored.get(each.name)
        plain = {"title": each.title, "when": each.when, "schema": each.schema, "example": each.example}
        if before is None:
            result[each.name] = {**plain, "version": 1, "changes": []}
            continue
        has_changed = before["schema"] != each.schema
        version = before["version"] + has_changed
        words = [*before["changes"], *([{"version": version, "what": because}] if has_changed else [])]
        result[each.name] = {**plain, "version": version, "changes": words}
    return result


def _differences(before: Any, after: Any, at: str) -> list[str]:
    """Return what differs, by the place in the payload."""
    mine, others = before.get("properties", {}), after.get("properties", {})
    said = [f"{at}{name} is gone." for name in mine if name not in others]
    said += [f"{at}{name} is new." for name in others if name not in mine]
    for name in mine.keys() & others.keys():
        said += _differences(mine[name], others[name], f"{at}{name}.")
    if _own(before) != _own(after):
        said.append(f"{at.rstrip('.') or 'the body'} is {_kind(after)}, it was {_kind(before)}.")
    if isinstance(before.get("items"), dict) and isinstance(after.get("items"), dict):
        said += _differences(before["items"], after["items"], f"{at.rstrip('.')}[*].")
    return sorted(said)


def _own(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a schema says of its place, without what is below it."""
    return {key: value for key, value in schema.items() if key not in ("properties", "items")}


def _kind(schema: Mapping[str, Any]) -> str:
    types = schema.get("type", "anything")
    words = types if isinstance(types, str) else " or ".join(types)
    return f"{words} of {len(schema['enum'])} values" if "enum" in schema else words
