"""What differs between two JSON Schemas of a payload, in words, by the place. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST = 20  # values that are named
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
    said += _changed(before, after, at.rstrip(".") or "the body")
    if isinstance(before.get("items"), dict) and isinstance(after.get("items"), dict):
        said += _below(before["items"], after["items"], f"{at.rstrip('.')}[*].")
    return sorted(said)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], at: str) -> Iterator[str]:
    """Yield what differs at the place itself, without what is below it."""
    keys = before.keys() | after.keys()
    differ = {key for key in keys if before.get(key) != after.get(key)} - {"properties", "items"}
    had, has = before.get("enum"), after.get("enum")
    if had is not None and has is not None:
        differ.discard("enum")
        gone, new = _not_in(has, had), _not_in(had, has)
        parts = [f"{word}: {_listed(values)}" for word, values in (("gone", gone), ("new", new)) if values]
        if parts:
            yield f"{at} has other values than before ({'; '.join(parts)})."
    if differ & {"type", "enum"}:
        is_named = (had is None) != (has is None)
        yield f"{at} is {_kind(after, is_named)}, it was {_kind(before, is_named)}."
    elif differ:
        yield f"{at} is described otherwise than before."


def _not_in(others: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """Return those of `values` that `others` lack; of null its type tells."""
    return [value for value in values if value is not None and value not in others]


def _kind(schema: Mapping[str, Any], with_values: bool) -> str:
    types = schema.get("type", "anything")
    words = types if isinstance(types, str) else " or ".join(types)
    return f"{words}, one of {_listed(schema['enum'])}" if with_values and "enum" in schema else words


def _listed(values: Sequence[Any]) -> str:
    shown = [value if isinstance(value, str) and value else json.dumps(value) for value in values[:MOST]]
    more = [f"{len(values) - MOST} more"] if len(values) > MOST else []
    return ", ".join([*shown, *more])
