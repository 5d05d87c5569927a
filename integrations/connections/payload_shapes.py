"""What a payload may hold: names, kinds of values, and the values of choices. Learnt from examples.

In: payloads as a trigger handler or ``publish()`` gives them. Out: a `Shape`, by which conditions are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from django.db.models import Model

MAX_DEPTH = 16
DECIMAL = "decimal"  # a number that goes over the wire as text
MODEL_FIELDS = ("id", "name", "email")  # what goes over the wire of a whole model

Path = tuple[str, ...]


class DecimalText(str):
    """A decimal number as it goes over the wire, in an example."""

    __slots__ = ()


_List = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Shape:
    """One place of a payload.

    Attributes:
        kinds: what may stand there: ``text``, ``number``, ``decimal``, ``boolean``, ``null``, ``object``, ``array``;
            empty: anything.
        fields: the parts of an object.
        is_open: it may have other parts too.
        items: the elements of an array; None: anything.
        values: all that it ever is, empty text and null apart; None: anything of its kind.
    """

    kinds: frozenset[str] = frozenset()
    fields: Mapping[str, Shape] = field(default_factory=dict)
    is_open: bool = False
    items: Shape | None = None
    values: frozenset[Any] | None = None

    def __or__(self, other: Shape) -> Shape:
        """Return what is one or the other."""
        if not (self.kinds and other.kinds):
            return ANYTHING
        both = self.fields.keys() & other.fields.keys()
        fields = {**self.fields, **other.fields, **{name: self.fields[name] | other.fields[name] for name in both}}
        items = self.items | other.items if self.items and other.items else self.items or other.items
        mine, others = (None if shape.kinds == {"null"} else (shape.values,) for shape in (self, other))
        values = [each[0] for each in (mine, others) if each]
        known = frozenset().union(*values) if values and None not in values else None  # type: ignore[arg-type]
        return Shape(self.kinds | other.kinds, fields, self.is_open or other.is_open, items, known)

    def at(self, path: Path) -> Shape | None:
        """Return the shape of a part, None if there is none."""
        found: Shape | None = self
        for name in path:
            found = found.fields.get(name) if found else None
        return found

    def with_values(self, path: Path, values: frozenset[Any]) -> Shape:
        """Return the same with `values` as all that the part at `path` ever is."""
        if not path:
            return replace(self, values=values)
        part = self.fields[path[0]].with_values(path[1:], values)
        return replace(self, fields={**self.fields, path[0]: part})


ANYTHING = Shape()
ANY_OBJECT = Shape(frozenset({"object"}), is_open=True)


def shape_of(value: Any, depth: int = 0) -> Shape:
    """Return the shape of an example. An empty object or list, and null, say nothing of what may be in it."""
    if depth > MAX_DEPTH:
        return ANYTHING
    if isinstance(value, Model):
        value = {name: getattr(value, name) for name in MODEL_FIELDS if hasattr(value, name)}
    if isinstance(value, Mapping):
        fields = {str(key): shape_of(item, depth + 1) for key, item in value.items()}
        return Shape(frozenset({"object"}), fields, is_open=not fields)
    if isinstance(value, _List):
        return Shape(frozenset({"array"}), items=union(shape_of(item, depth + 1) for item in value))
    return Shape(frozenset({_kind(value)}))


def _kind(value: Any) -> str:
    """Return what a single value becomes on the wire; what is none of these becomes text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, Decimal | DecimalText):
        return DECIMAL
    is_number = isinstance(value, int | float | timedelta) and not isinstance(value, Enum)
    return "number" if is_number else "text"


def union(shapes: Iterable[Shape]) -> Shape | None:
    """Return what is any of `shapes`; None if there are none."""
    found: Shape | None = None
    for shape in shapes:
        found = shape if found is None else found | shape
    return found


def with_choices(shape: Shape, alternatives: Sequence[Sequence[Mapping[str, Any]]]) -> Shape:
    """Return `shape` with the values of those places that depend on one choice alone.

    Args:
        alternatives: for different objects, the payload with each value of that choice.
    """
    found = [_values(payloads) for payloads in alternatives]
    for path, values in found[0].items() if found else ():
        # "New, of Ann" depends on the choice too, and on more: it is another set for another object.
        place = shape.at(path)
        if len(values) > 1 and place is not None and all(each.get(path) == values for each in found):
            shape = shape.with_values(path, values | (place.values or frozenset()))
    return shape


def _values(payloads: Sequence[Mapping[str, Any]]) -> dict[Path, frozenset[Any]]:
    found: dict[Path, set[Any]] = {}
    for payload in payloads:
        for path, value in _leaves(payload, ()):
            found.setdefault(path, set()).add(value)
    return {path: frozenset(values - {""}) for path, values in found.items()}


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, str | int]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, (*path, str(name)))
    elif isinstance(value, str):
        yield path, str(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, int(value)
