"""Why a condition was met by a payload, or not: the values that decided.

    workitem.priority == 'Urgent' && changes.status      →  [("workitem.priority", "Standard")]

In: a condition and the payload that it was asked about. Out: the paths that made it true or false, with what stood
there. Of ``a && b`` with a false `a` only `a` decided; of ``a || b`` with a true `a`, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from integrations.expressions import Interpreter

from .conditions import compiled_condition

MOST = 6  # values that are named
_STEPS = ("subexpression", "index_expression")
_PROJECTIONS = ("projection", "filter_projection", "value_projection", "flatten")


def decided_by(condition: str, payload: Any) -> list[tuple[str, Any]]:
    """Return (path, value) of what decided, in the order of the condition, MOST of them; nothing for "" and for what
    cannot be read."""
    try:
        tree = compiled_condition(condition) if condition else None
        nodes = list(_deciding(tree, payload)) if tree is not None else []
        found = {_path(node): _value(node, payload) for node in nodes}
    except Exception:  # a condition that fails lets the event pass: nothing of the payload decided
        return []
    return list(found.items())[:MOST]


def _deciding(node: Any, payload: Any) -> Iterator[Any]:
    kind, children = node["type"], node["children"]
    if kind in ("and_expression", "or_expression"):
        left, right = children
        stops_at = kind == "or_expression"  # the value of the left side that is the whole answer
        if bool(_value(left, payload)) is stops_at:
            yield from _deciding(left, payload)
        elif bool(_value(right, payload)) is stops_at:
            yield from _deciding(right, payload)
        else:
            yield from _deciding(left, payload)
            yield from _deciding(right, payload)
    elif kind == "not_expression":
        yield from _deciding(children[0], payload)
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


def _value(node: Any, payload: Any) -> Any:
    return Interpreter().visit(node, payload)
