"""The fields of an event's body that conditions and payloads may name, as a list to choose from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .condition_check import kinds_in_words
from .event_types import payload_shape
from .payload_shapes import Shape

MOST, DEEPEST = 200, 6
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class OfferedField:
    """One field: ``workitem.priority``.

    Attributes:
        path: as it is written in an expression.
        kind: what stands there, in words: "text", "a number", "a list".
        choices: all that ever stands there, as literals of an expression; (): anything of its kind.
        example: a value as a literal, "" for none.
    """

    path: str
    kind: str
    choices: tuple[str, ...] = ()
    example: str = ""


def offered_fields(
    event_type: str, bodies: Sequence[Mapping[str, Any]] = (), *, version: int | None = None
) -> list[OfferedField]:
    """Return the fields of events of this type, MOST of them, those of the object before those of the frame.

    Args:
        bodies: of events, for examples: the first that has a value gives it.
        version: of the payload; None: the newest.
    """
    shape = payload_shape(event_type, version)
    frame = [name for name in ("event_type", "timestamp", "tenant", "truncated") if name in shape.fields]
    names = [name for name in shape.fields if name not in frame] + frame
    fields = {name: shape.fields[name] for name in names}
    found = _below(fields, "", bodies, DEEPEST)
    return [each for each, _ in zip(found, range(MOST), strict=False)]


def _below(fields: Mapping[str, Shape], path: str, values: Sequence[Any], levels: int) -> Iterator[OfferedField]:
    for name, shape in fields.items():
        written = name if _PLAIN.fullmatch(name) else json.dumps(name)
        at = f"{path}.{written}" if path else written
        found = [value[name] for value in values if isinstance(value, Mapping) and name in value]
        if shape.fields and levels:
            yield from _below(shape.fields, at, found, levels - 1)
        elif shape.items is not None and shape.items.fields and levels:
            elements = [value[0] for value in found if isinstance(value, list) and value]
            yield from _below(shape.items.fields, f"{at}[*]", elements, levels - 1)
        else:
            choices = tuple(sorted(map(literal, shape.values))) if shape.values is not None else ()
            examples = (literal(each) for each in found if each not in (None, "") and not isinstance(each, dict | list))
            kind = kinds_in_words(shape) if shape.kinds else "anything"
            yield OfferedField(at, kind, choices, next(examples, ""))


def literal(value: Any) -> str:
    """Return a value as it is written in an expression: ``'Urgent'``, `` `100` ``."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"`{json.dumps(value)}`"
