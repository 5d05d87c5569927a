"""Why a condition was met by a payload, or not: the values that decided.

    workitem.priority == 'Urgent' && changes.status      →  [("workitem.priority", "Standard")]

In: a condition and the payload that it was asked about. Out: the paths that made it true or false, with what stood
there. Of ``a && b`` with a false `a` only `a` decided; of ``a || b`` with a true `a`, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from integrations.expressions import Interpreter
from integrations.telemetry.logs import one_line

from .conditions import compiled_condition

MOST = 6  # values that are named
MOST_STEPS = 20_000  # parts that are visited for it: it runs in somebody's save
LONGEST_CONDITION, LONGEST_VALUE, LONGEST = 200, 80, 500  # characters
_STEPS = ("subexpression", "index_expression")
_PROJECTIONS = ("projection", "filter_projection", "value_projection", "flatten")


def decided_by(condition: str, payload: Any) -> list[tuple[str, Any]]:
    """Return (path, value) of what decided, in the order of the condition, MOST of them; nothing for "" and for what
    cannot be read."""
    try:
        ask = _Asking(payload)
        nodes = list(_deciding(compiled_condition(condition), ask)) if condition else []
        found = {_path(node): ask.value(node) for node in nodes}
    except Exception:  # a condition that fails lets the event pass: nothing of the payload decided
        return []
    return list(found.items())[:MOST]


def why_unmet(condition: str, payload: Any) -> str:
    """Return why `payload` does not meet `condition`, for people: "`workitem.priority == 'Urgent'`: it was Standard".

    At most LONGEST characters, whatever is in the payload.
    """
    decided = [(path, _plain(value)) for path, value in decided_by(condition, payload)]
    if not decided:
        said = "not met"
    elif len(decided) == 1:
        said = f"it was {decided[0][1]}"
    else:
        said = ", ".join(f"{path} was {value}" for path, value in decided)
    return _cut(f"`{_cut(one_line(condition), LONGEST_CONDITION)}`: {said}", LONGEST)


def _plain(value: Any) -> str:
    if value is None:
        return "empty"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return _cut(one_line(text.strip()[: LONGEST_VALUE + 1]), LONGEST_VALUE) or "empty"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class _Asking:
    """Asks for values in one payload; all questions together have MOST_STEPS."""

    def __init__(self, payload: Any) -> None:
        self._payload = payload
        self._interpreter = Interpreter(steps=MOST_STEPS)

    def value(self, node: Any) -> Any:
        return self._interpreter.visit(node, self._payload)


def _deciding(node: Any, ask: _Asking) -> Iterator[Any]:
    kind, children = node["type"], node["children"]
    if kind in ("and_expression", "or_expression"):
        left, right = children
        stops_at = kind == "or_expression"  # the value of the left side that is the whole answer
        if bool(ask.value(left)) is stops_at:
            yield from _deciding(left, ask)
        elif bool(ask.value(right)) is stops_at:
            yield from _deciding(right, ask)
        else:
            yield from _deciding(left, ask)
            yield from _deciding(right, ask)
    elif kind == "not_expression":
        yield from _deciding(children[0], ask)
    else:
        yield from _looked_at(node)


def _looked_at(node: Any) -> Iterator[Any]:
    """Yield the paths of the payload that `node` looks at."""
    kind, children = node["type"], node["children"]
    if kind == "field" or (kind in _STEPS and _is_path(node)):
        yield node
    elif kind in (*_STEPS, *_PROJECTIONS, "pipe"):
        yield from _looked_at(children[0])  # what follows is read from its value
    else:
        for child in children:
            yield from _looked_at(child)


def _is_path(node: Any) -> bool:
    kind = node["type"]
    return kind in ("field", "index") or (kind in _STEPS and all(map(_is_path, node["children"])))


def _path(node: Any) -> str:
    kind = node["type"]
    if kind == "field":
        return str(node["value"])
    if kind == "index":
        return f"[{node['value']}]"
    first, *others = (_path(child) for child in node["children"])
    return first + "".join(each if each.startswith("[") else f".{each}" for each in others)
