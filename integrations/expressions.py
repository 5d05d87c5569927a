"""The one expression language: JMESPath (jmespath.org) without what could run long or reach out.

Conditions, YAML templates, and the texts and lines that people write into settings all use it:

    workitem.priority == 'Urgent'               a condition: may only look (LOOKS)
    lines[*].{sku: sku}                         a template or a setting: may also build values (BUILDS)
    {text: join(' ', [order.number, 'is paid'])}     a payload: may build more (connections/payloads.py)

JMESPath has no loops and no side effects, but it can build: forty times ``[@, @]`` is a value of 2^40 parts. So a
condition, which runs in somebody's save, builds nothing, and elsewhere what is built is counted here and its result
is bounded by the caller. A filter can also look at every part of a large payload: each evaluation has so many steps.

Two things differ from plain JMESPath. A price travels as text, so that no digit is lost: numbers compare as numbers,
whichever they are. And what is missing contains nothing, begins with nothing and has no length, instead of failing.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import jmespath
from django.utils.translation import gettext as _
from jmespath.functions import Functions as _Functions
from jmespath.functions import signature
from jmespath.visitor import TreeInterpreter, _is_comparable

from integrations.errors import IntegrationPermanentError

MAX_LENGTH = 4096  # characters of one expression
MAX_NODES = 64
MAX_BUILDERS = 4  # objects that one expression may build, where that is allowed
MAX_STEPS = 100_000  # parts that one evaluation visits, again for each element of a list: a tenth of a second
FUNCTIONS = frozenset({"abs", "contains", "ends_with", "length", "not_null", "starts_with", "to_number", "type"})
LOOKS = frozenset(
    {
        "and_expression",
        "comparator",
        "current",
        "field",
        "filter_projection",
        "function_expression",
        "identity",
        "index",
        "index_expression",
        "literal",
        "not_expression",
        "or_expression",
        "pipe",
        "projection",
        "subexpression",
        "value_projection",
    }
)
BUILDS = LOOKS | {"multi_select_dict", "key_val_pair", "flatten"}
QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|`((?:\\.|[^`\\])*)`|\"(?:\\.|[^\"\\])*\"")
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")


class Functions(_Functions):
    """JMESPath's own functions, where a payload may give them null or a number that is sent as text."""

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


class Interpreter(TreeInterpreter):
    """Finds the value of one compiled expression: ``visit(expression.parsed, value)``; for the next, make another.

    Raises:
        IntegrationPermanentError: it takes more than `steps`.
    """

    def __init__(self, functions: Functions | None = None, steps: int = MAX_STEPS) -> None:
        super().__init__(jmespath.Options(custom_functions=functions or Functions()))
        self._left = steps

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise IntegrationPermanentError(_("the expression takes too many steps; let it look at fewer parts"))
        return super().visit(node, *args, **kwargs)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        values = [self.visit(child, value) for child in node["children"]]
        if node["value"] == "contains" and values and isinstance(values[0], list):
            self._left -= len(values[0]) // 10  # it looks at each part of the list
        return self._functions.call_function(node["value"], values)

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


def compile_expression(
    text: str,
    *,
    nodes: frozenset[str] = LOOKS,
    functions: frozenset[str] = FUNCTIONS,
    max_parts: int = MAX_NODES,
    max_builders: int = MAX_BUILDERS,
) -> Any:
    """Return `text` compiled; its ``.parsed`` is the tree, for an `Interpreter`.

    Args:
        max_builders: how many objects and lists it may build.

    Raises:
        ValueError: it is not JMESPath, it has too many parts, or it uses more than `nodes` and `functions`.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(_("it is longer than {max_length} characters").format(max_length=MAX_LENGTH))
    try:
        expression = jmespath.compile(text)
    except RecursionError:
        raise ValueError(_("it is nested too deeply")) from None
    except ValueError as error:  # JMESPathError is one; its words go over several lines
        raise ValueError(str(error).partition(", for expression")[0].partition("\n")[0].rstrip(": ")) from None
    waiting, count, builders = [expression.parsed], 0, 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > max_parts:
            raise ValueError(_("it has more than {max_parts} parts").format(max_parts=max_parts))
        kind = node["type"]
        if kind not in nodes:
            raise ValueError(
                _("{part} is not allowed here; compare fields instead").format(part=kind.replace("_", " "))
            )
        if kind == "function_expression" and node["value"] not in functions:
            words = _("{name}() is not allowed here; there are: {known}")
            raise ValueError(words.format(name=node["value"], known=", ".join(sorted(functions))))
        builders += kind in ("multi_select_dict", "multi_select_list")
        if builders > max_builders:
            raise ValueError(_("it builds more than {max_builders} objects").format(max_builders=max_builders))
        waiting += node["children"]
    return expression


def literal_problem(text: str) -> str:
    """Say that a text stands in backticks, "" if none does: JMESPath has announced that it will take it no more."""
    if len(text) > MAX_LENGTH:  # `QUOTED` would look for the end of each quote through all of it
        return _("It is longer than {max_length} characters").format(max_length=MAX_LENGTH)
    for found in QUOTED.finditer(text):
        if (literal := found[1]) is not None:
            try:
                json.loads(literal.replace("\\`", "`"))
            except (ValueError, RecursionError):
                shown = literal.strip()[:50]
                return _("What stands in backticks is JSON; a text stands in single quotes: '{shown}'").format(
                    shown=shown
                )
    return ""


def split(text: str, opening: str) -> list[tuple[str, bool]]:
    """Return (part, is it an expression) of a text with expressions between `opening` and ``}``.

    Args:
        opening: ``${`` in YAML, where ``$${`` is a plain one; ``{`` in settings, where ``{'{'}`` is.

    Raises:
        ValueError: an expression has no closing brace.
    """
    found: list[tuple[str, bool]] = []
    literal, position = "", 0
    escape = "$${" if opening == "${" else ""
    while position < len(text):
        if escape and text.startswith(escape, position):
            literal, position = literal + opening, position + len(escape)
        elif text.startswith(opening, position):
            start = position + len(opening)
            end = _end(text, start)
            if end is None:
                plain = f"'{escape}'" if escape else "{'{'}"
                raise ValueError(
                    _("'{opening}' without its '}}'; write {plain} for a plain '{opening}'").format(
                        opening=opening, plain=plain
                    )
                )
            found += [(literal, False)] if literal else []
            found.append((text[start:end], True))
            literal, position = "", end + 1
        else:
            literal, position = literal + text[position], position + 1
    return [*found, (literal, False)] if literal else found


def _end(text: str, position: int) -> int | None:
    """Return where the expression that begins at `position` has its closing brace."""
    quote, depth = "", 0
    while position < len(text):
        char = text[position]
        if char == "\\" and quote:
            position += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0:
                return position
            depth -= 1
        position += 1
    return None
