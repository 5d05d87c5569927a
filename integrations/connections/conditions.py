"""Which payloads a subscription wants: a JMESPath expression (jmespath.org) that can only look.

It runs in the transaction of somebody's save, so it must be cheap whatever a tenant writes. JMESPath has no loops,
but it can build: forty times ``[@, @]`` is a value of 2^40 parts. So expressions that build values are refused,
when they are typed and again when they are used, since a row may have come another way.

A price goes over the wire as text, so that no digit is lost: numbers compare as numbers here, whichever they are.
"""

from __future__ import annotations

import json
import logging
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import jmespath
from django.core.exceptions import ValidationError
from jmespath.functions import Functions, signature
from jmespath.visitor import TreeInterpreter, _is_comparable

from integrations.expressions import compile_expression

from . import condition_check
from .event_types import payload_shape

logger = logging.getLogger("integrations.connections")

_compiled = lru_cache(maxsize=1024)(compile_expression)
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")
_SLIPS = (
    (re.compile(r"(?<![=!<>])=(?!=)"), "write == to compare"),
    (re.compile(r"(==|!=|<=?|>=?)\s*-?[0-9]"), "a number stands in backticks: `100`"),
    (re.compile(r"\b(and|or|not)\b", re.IGNORECASE), "write &&, || and !"),
)
_TEXTS = re.compile(r"'(?:\\.|[^'\\])*'|`((?:\\.|[^`\\])*)`|\"(?:\\.|[^\"\\])*\"")


def validate_condition(condition: str, event_type: str = "") -> None:
    """Raise ValidationError, saying what is wrong, when `condition` can never be what its author means.

    Args:
        event_type: whose payload it is about; "": only what is wrong in any payload is named.
    """
    if not condition:
        return
    if not condition.isprintable():
        raise ValidationError("It contains a line break or a character that cannot be stored; write it in one line.")
    _check_literals(condition)
    try:
        tree = _compiled(condition).parsed
    except ValueError as error:
        raise ValidationError(f"Not a usable JMESPath expression: {error}{_hint(condition)}") from None
    if found := condition_check.problems(condition, tree, payload_shape(event_type)):
        raise ValidationError(found)


def _check_literals(condition: str) -> None:
    """Refuse a text in backticks: JMESPath still takes it for one, but has announced that it will not."""
    for found in _TEXTS.finditer(condition):
        if (literal := found[1]) is not None:
            try:
                json.loads(literal.replace("\\`", "`"))
            except (ValueError, RecursionError):
                text = literal.strip()[:50]
                raise ValidationError(
                    f"What stands in backticks is JSON; a text stands in single quotes: '{text}'"
                ) from None


def _hint(condition: str) -> str:
    outside_of_texts = _TEXTS.sub("''", condition)
    return "".join(f"; {hint}" for slip, hint in _SLIPS if slip.search(outside_of_texts))


def wants(condition: str, payload: dict[str, Any]) -> bool:
    """Tell whether `payload` satisfies `condition`; "" is satisfied by everything.

    A condition that fails on this payload lets it pass: one event too many is better than one lost, and the
    user's save has nothing to do with it.
    """
    if not condition:
        return True
    try:
        return bool(_INTERPRETER.visit(_compiled(condition).parsed, payload))
    except Exception as error:
        logger.warning("a condition failed (%s), the event is sent", type(error).__name__)
        return True


class _Functions(Functions):
    """JMESPath's own, where a payload may give them null or a number that is sent as text."""

    @signature({"types": ["number", "string", "null"]})
    def _func_abs(self, value: Any) -> Any:
        number = _number(value)
        return number if number is None else float(abs(number))

    @signature({"types": ["array", "object", "string", "null"]})
    def _func_length(self, value: Any) -> int | None:
        return None if value is None else len(value)

    @signature({"types": ["string", "null"]}, {"types": ["string", "null"]})
    def _func_starts_with(self, subject: str | None, part: str | None) -> bool:
        return subject is not None and part is not None and subject.startswith(part)

    @signature({"types": ["string", "null"]}, {"types": ["string", "null"]})
    def _func_ends_with(self, subject: str | None, part: str | None) -> bool:
        return subject is not None and part is not None and subject.endswith(part)

    @signature({"types": ["array", "string", "null"]}, {"types": []})
    def _func_contains(self, subject: Any, part: Any) -> bool:
        return subject is not None and not (isinstance(subject, str) and part is None) and part in subject


class _Interpreter(TreeInterpreter):
    def visit_comparator(self, node: Any, value: Any) -> Any:
        """Compare numbers as numbers, also those that are sent as text; equal texts are equal letter by letter."""
        left, right = (self.visit(child, value) for child in node["children"])
        is_equality = node["value"] in self._EQUALITY_OPS
        if not is_equality or _is_number(left) or _is_number(right):
            numbers = _number(left), _number(right)
            if None not in numbers:
                left, right = numbers
        if not (is_equality or (_is_comparable(left) and _is_comparable(right))):
            return None
        return self.COMPARATOR_FUNC[node["value"]](left, right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> Decimal | None:
    """Return a number, or a text that is nothing else, exactly; None for all others."""
    if _is_number(value) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
        return number if number.is_finite() else None
    return None


_INTERPRETER = _Interpreter(jmespath.Options(custom_functions=_Functions()))
