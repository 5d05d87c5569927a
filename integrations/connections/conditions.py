"""Which payloads a subscription wants: a JMESPath expression (jmespath.org) that can only look.

It runs in the transaction of somebody's save, so it must be cheap whatever a tenant writes: expressions that build
values are refused (integrations/expressions.py), when they are typed and again when they are used, since a row may
have come another way.

Below stands why a condition was met or not, the values that decided: of ``a && b`` with a false `a` only `a`; of
``a || b`` with a true `a`, too.

    workitem.priority == 'Urgent' && changes.status      →  [("workitem.priority", "Standard")]
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connectors import functions
from integrations.expressions import QUOTED, Interpreter, compile_expression, literal_problem
from integrations.telemetry.logs import one_line

from . import condition_check, event_types
from .event_types import payload_shape

logger = logging.getLogger("integrations.connections")

_compiled = lru_cache(maxsize=1024)(compile_expression)
_SLIPS = (
    (re.compile(r"(?<![=!<>])=(?!=)"), gettext_lazy("write == to compare")),
    (re.compile(r"(==|!=|<=?|>=?)\s*-?[0-9]"), gettext_lazy("a number stands in backticks: `100`")),
    (re.compile(r"\b(and|or|not)\b", re.IGNORECASE), "write &&, || and !"),
)

MOST = 6  # values that are named
MOST_STEPS = 20_000  # parts that are visited for it: it runs in somebody's save
LONGEST_CONDITION, LONGEST_VALUE, LONGEST = 200, 80, 500  # characters
_STEPS = ("subexpression", "index_expression")
_PROJECTIONS = ("projection", "filter_projection", "value_projection", "flatten")


def compiled_condition(condition: str) -> Any:
    """Return the tree of a condition, for an `Interpreter`.

    Raises:
        ValueError: it is not one.
    """
    return _compiled(condition).parsed


def validate_condition(condition: str, event_type: str = "", version: int | None = None) -> None:
    """Raise ValidationError, saying what is wrong, when `condition` can never be what its author means.

    Args:
        event_type: whose payload it is about; "": only what is wrong in any payload is named.
        version: of that payload; None: the newest.
    """
    if not condition:
        return
    if not condition.isprintable():
        raise ValidationError(_("It contains a line break or a character that cannot be stored; write it in one line."))
    if problem := literal_problem(condition):
        raise ValidationError(problem)
    try:
        tree = _compiled(condition).parsed
    except ValueError as error:
        outside_of_texts = QUOTED.sub("''", condition)
        hint = "".join(f"; {hint}" for slip, hint in _SLIPS if slip.search(outside_of_texts))
        words = _("Not a usable JMESPath expression: {error}{hint}")
        raise ValidationError(words.format(error=error, hint=hint)) from None
    found, _shape = condition_check.examine(condition, tree, payload_shape(event_type, version))
    if found:
        raise ValidationError(found)


def problems_of_summaries() -> Iterator[tuple[str, str]]:
    """Yield (event type, what is wrong) for each expression of a summary that its payload can never meet."""
    for event_type, form in event_types.summary_formats().items():
        for text in form.expressions():
            tree = functions.compiled(text).parsed
            problems, _shape = condition_check.examine(text, tree, payload_shape(event_type), may_be_fixed=True)
            yield from ((event_type, problem) for problem in problems)


class Judgement(NamedTuple):
    """What a condition says of a payload.

    Attributes:
        is_met: send it.
        remark: why it is sent although the condition does not say so; "".
    """

    is_met: bool
    remark: str = ""


MET, UNMET = Judgement(True), Judgement(False)


def judge(condition: str, payload: dict[str, Any]) -> Judgement:
    """Ask `condition` about `payload`; "" is met by everything.

    A condition that fails on this payload lets it pass: one event too many is better than one lost, and the
    user's save has nothing to do with it.
    """
    if not condition:
        return MET
    try:
        return MET if Interpreter().visit(_compiled(condition).parsed, payload) else UNMET
    except Exception as error:
        name = type(error).__name__
        logger.warning("a condition failed (%s), the event is sent", name)
        shown = one_line(condition[:200])
        return Judgement(
            True,
            _("sent although its condition `{shown}` failed on this event ({name})").format(
                shown=shown[:300], name=name[:50]
            ),
        )


def wants(condition: str, payload: dict[str, Any]) -> bool:
    """Tell whether `payload` meets `condition`, or the condition fails on it."""
    return judge(condition, payload).is_met


# -- what decided -------------------------------------------------------------------------------------


def decided_by(condition: str, payload: Any) -> list[tuple[str, Any]]:
    """Return (path, value) of what decided, in the order of the condition, MOST of them; nothing for "" and for what
    cannot be read."""
    interpreter = Interpreter(steps=MOST_STEPS)

    def ask(node: Any) -> Any:
        return interpreter.visit(node, payload)

    try:
        nodes = list(_deciding(_compiled(condition).parsed, ask)) if condition else []
        found = {_path(node): ask(node) for node in nodes}
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


def _deciding(node: Any, ask: Callable[[Any], Any]) -> Iterator[Any]:
    kind, children = node["type"], node["children"]
    if kind in ("and_expression", "or_expression"):
        left, right = children
        stops_at = kind == "or_expression"  # the value of the left side that is the whole answer
        if bool(ask(left)) is stops_at:
            yield from _deciding(left, ask)
        elif bool(ask(right)) is stops_at:
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
