"""What a payload says, in words: for messages that people read (a chat, an issue, a mail).

In: any payload, not only a work item's. Out: a `Summary`, or the value at a path. Never raises: what is missing is "".
The object of an event is found by its type: ``workitem_created`` is about ``payload["workitem"]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_VALUE = 1000  # characters of one value; a summary is no copy
_NAMES = ("reference_id", "name", "title", "subject", "number", "id")  # what people call an object by
_DESCRIPTIONS = ("description", "summary", "text")
_AROUND = frozenset({"event_type", "timestamp", "tenant", "changes", "test", "truncated"})  # not the object
_PLACE = re.compile(r"\{([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\}")


@dataclass(frozen=True, slots=True)
class Summary:
    """An event in words.

    Attributes:
        event: what happened: "Workitem created".
        name: what the object is called: "RMA-123".
        fields: (label, value) of everything that is set, in the payload's order.
        changes: (label, old, new).
    """

    event: str
    name: str = ""
    description: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    changes: tuple[tuple[str, str, str], ...] = ()

    @property
    def title(self) -> str:
        return f"{self.event}: {self.name}" if self.name else self.event


def summarise(payload: Mapping[str, Any], event_type: str, paths: Iterable[str] = ()) -> Summary:
    """Return `payload` in words.

    Args:
        paths: what the fields are, as lines ``Customer: workitem.customer.name``; none: all that is set.
    """
    subject = _subject(payload, event_type)
    name = next((key for key in _NAMES if words(subject.get(key))), "")
    description = next((key for key in _DESCRIPTIONS if key != name and words(subject.get(key))), "")
    chosen = [(label.strip(), value_at(payload, path)) for label, _, path in (line.partition(":") for line in paths)]
    all_of_it = [(_label(key), words(value)) for key, value in subject.items() if key not in (name, description, "id")]
    return Summary(
        _label(event_type) or "Event",
        words(subject.get(name)),
        words(subject.get(description)),
        tuple((label, value) for label, value in chosen or all_of_it if value),
        tuple(_changes(payload.get("changes"))),
    )


def value_at(payload: Any, path: str) -> str:
    """Return the value at ``workitem.customer.name`` in words, "" if there is none."""
    return words(raw_at(payload, path))


def raw_at(payload: Any, path: str) -> Any:
    """Return the value at ``workitem.customer.name`` as it is, None if there is none."""
    for key in path.strip().split("."):
        payload = payload.get(key) if isinstance(payload, Mapping) else None
    return payload


def filled(pattern: str, payload: Mapping[str, Any], escape: Callable[[str], str] = str) -> str:
    """Return `pattern` with each ``{path}`` replaced by the escaped value there."""
    return _PLACE.sub(lambda match: escape(value_at(payload, match[1])), pattern)


def words(value: Any) -> str:
    """Return a JSON value as a person reads it: an object by its name, a list with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return next((text for key in _NAMES if (text := words(value.get(key)))), "")
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(words, value[:20])))[:MAX_VALUE]
    return str(value).strip()[:MAX_VALUE]


def _subject(payload: Mapping[str, Any], event_type: str) -> Mapping[str, Any]:
    found = {key: value for key, value in payload.items() if key not in _AROUND and isinstance(value, Mapping)}
    for key in sorted(found, key=len, reverse=True):  # ``order_line_added`` is about the line, not the order
        if event_type.startswith(key):
            return found[key]
    if len(found) == 1:
        return next(iter(found.values()))
    return {key: value for key, value in payload.items() if key not in _AROUND}


def _changes(changes: Any) -> Iterable[tuple[str, str, str]]:
    for key, change in changes.items() if isinstance(changes, Mapping) else ():
        if isinstance(change, Mapping):
            yield _label(str(key)), words(change.get("old")), words(change.get("new"))


def _label(key: str) -> str:
    return key.replace("_", " ").strip().capitalize()
