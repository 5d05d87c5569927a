"""What differs between two JSON Schemas of a payload, in words, by the place. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEW = " is new."  # how a difference ends that no receiver breaks at


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each place: ``workitem.comments is gone.``"""
    return _below(before, after, "")


def breaks(said: str) -> bool:
    """Tell whether a receiver that was written before may break at what this sentence of `differences` says."""
    return not said.endswith(NEW)


def _below(before: Mapping[str, Any], after: Mapping[str, Any], at: str) -> list[str]:
    mine, others = before.get("properties", {}), after.get("properties", {})
    said = [f"{at}{name} is gone." for name in mine if name not in others]
    said += [f"{at}{name}{NEW}" for name in others if name not in mine]
    for name in mine.keys() & others.keys():
        said += _below(mine[name], others[name], f"{at}{name}.")
    if _own(before) != _own(after):
        said.append(f"{at.rstrip('.') or 'the body'} is {_kind(after)}, it was {_kind(before)}.")
    if isinstance(before.get("items"), dict) and isinstance(after.get("items"), dict):
        said += _below(before["items"], after["items"], f"{at.rstrip('.')}[*].")
    return sorted(said)


def _own(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a schema says of its place, without what is below it."""
    return {key: value for key, value in schema.items() if key not in ("properties", "items")}


def _kind(schema: Mapping[str, Any]) -> str:
    types = schema.get("type", "anything")
    words = types if isinstance(types, str) else " or ".join(types)
    return f"{words} of {len(schema['enum'])} values" if "enum" in schema else words
