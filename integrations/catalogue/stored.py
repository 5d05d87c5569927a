"""The catalogue that is kept in a repository: what receivers were told, and what has changed since. Pure.

Each event type has the version of its payload, the older ones that are still made, and the words that said what was
changed. A payload that differs from the stored one is a change that nobody told the receivers of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .differences import breaks, differences
from .entries import Entry

Stored = dict[str, dict[str, Any]]


class Change(NamedTuple):
    """What differs from the stored catalogue.

    Attributes:
        words: a sentence.
        is_told: it is a change of a payload, which receivers must be told of.
        breaks: receivers of a version that was stored may break at it.
    """

    words: str
    is_told: bool = True
    breaks: bool = False


def changes(stored: Mapping[str, Any], found: Iterable[Entry]) -> list[Change]:
    """Return what differs from the stored catalogue."""
    now = {each.name: each for each in found}
    said = [Change(f"{name}: there is no such event type any more.") for name in stored if name not in now]
    for name, each in now.items():
        if name not in stored:
            said.append(Change(f"{name}: it is new.", is_told=False))
        else:
            said += _changes_of(stored[name], each)
    return said


def _changes_of(stored: Mapping[str, Any], each: Entry) -> Iterator[Change]:
    """Yield what differs in one event type, version by version."""
    made = _schemas(each)
    for version, schema in _stored_schemas(stored).items():
        if version not in made:
            words = f"{each.name}: version {version} of its payload is made no more."
            yield Change(words, breaks=True)
            continue
        where = each.name if version == each.version else f"{each.name}, version {version}"
        for words in differences(schema, made[version]):
            yield Change(f"{where}: {words}", breaks=breaks(words))
    for version in made:
        if version > stored["version"]:
            yield Change(f"{each.name}: version {version} of its payload is new.")


def _schemas(each: Entry) -> dict[int, dict[str, Any]]:
    return {each.version: each.schema, **{older.version: older.schema for older in each.older}}


def _stored_schemas(stored: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    older = stored.get("older", {})
    return {stored["version"]: stored["schema"], **{int(name): each["schema"] for name, each in older.items()}}


def updated(stored: Mapping[str, Any], found: Iterable[Entry], because: str) -> Stored:
    """Return the catalogue to store, with `because` as the words of what changed."""
    result: Stored = {}
    for each in found:
        before = stored.get(each.name)
        words = [] if before is None else list(before["changes"])
        if before is not None and any(change.is_told for change in _changes_of(before, each)):
            words.append({"version": each.version, "what": because})
        plain = {"title": each.title, "when": each.when, "schema": each.schema, "example": each.example}
        older = {str(old.version): {"schema": old.schema, "example": old.example} for old in each.older}
        result[each.name] = {**plain, "version": each.version, **({"older": older} if older else {}), "changes": words}
    return result
