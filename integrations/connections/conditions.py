"""Which payloads a subscription wants: a JMESPath expression (jmespath.org) that can only look.

It runs in the transaction of somebody's save, so it must be cheap whatever a tenant writes: expressions that build
values are refused (integrations/expressions.py), when they are typed and again when they are used, since a row may
have come another way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
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
        raise ValidationError(
            _("Not a usable JMESPath expression: {error}{hint}").format(error=error, hint=_hint(condition))
        ) from None
    if found := condition_check.problems(condition, tree, payload_shape(event_type, version)):
        raise ValidationError(found)


def problems_of_summaries() -> Iterator[tuple[str, str]]:
    """Yield (event type, what is wrong) for each expression of a summary that its payload can never meet."""
    for event_type, form in event_types.summary_formats().items():
        for text in form.expressions():
            tree = functions.compiled(text).parsed
            problems = condition_check.problems(text, tree, payload_shape(event_type), may_be_fixed=True)
            yield from ((event_type, problem) for problem in problems)


def _hint(condition: str) -> str:
    outside_of_texts = QUOTED.sub("''", condition)
    return "".join(f"; {hint}" for slip, hint in _SLIPS if slip.search(outside_of_texts))


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
