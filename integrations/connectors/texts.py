"""Settings with expressions in them (JMESPath over the payload), in the forms that people write.

    Order {order.number} is {order.status}      a text: each {…} holds an expression
    Customer: order.customer.name               a line: a label, a colon, an expression
    Origin: =Web shop                           a mapping: a line, or a constant behind “=”
    order.id                                    an expression alone

`problem_of` says what is wrong with one when it is saved. What runs never raises: a value that cannot be had is null.

What was stored when a text knew paths alone reads as it did then: a text with a {…} that is no expression keeps
everything as it stands but ``{path.to.a.value}``, and a line or an expression that is none is such a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from integrations import expressions

from . import functions

Form = Literal["", "text", "line", "mapping", "expression"]

MAX_VALUE = 1000  # characters of one value in words
NAMES = ("reference_id", "name", "title", "subject", "number", "id")  # what people call an object by
_PATH = re.compile(r"\{([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\}")
_DIGITS = re.compile(r"(?:^|\.)([0-9][A-Za-z0-9_]*)")


def problem_of(form: Form, text: str) -> str:
    """Return what is wrong with a setting and what to write instead, "" if nothing is."""
    try:
        if form == "text":
            for part, is_expression in expressions.split(text, "{"):
                if is_expression:
                    functions.compiled(part)
        elif form in ("line", "mapping"):
            label, colon, source = text.partition(":")
            if not colon or not label.strip():
                return f"{text[:60]!r} has no label; write Label: expression, such as Customer: order.customer.name"
            if form == "line" or not source.strip().startswith("="):
                functions.compiled(source.strip())
        elif form == "expression":
            functions.compiled(text)
    except ValueError as error:
        return f"{text[:60]!r} is no JMESPath expression: {error}{_advice(form, text)}"
    return ""


def _advice(form: Form, text: str) -> str:
    """Return how to write what people mean by what is none."""
    if form != "text":
        found = _DIGITS.search(text.rpartition(":")[2].strip())
        return f'; a name that begins with a digit stands in double quotes: "{found[1]}"' if found else ""
    digits = next((name for path in _PATH.findall(text) for name in _DIGITS.findall(path)), "")
    if digits:
        return f'; a name that begins with a digit stands in double quotes: {{"{digits}"}}'
    return "; a plain brace is written {'{'}"


def expressions_in(form: Form, text: str) -> list[str]:
    """Return the expressions of a setting that `problem_of` finds nothing wrong with."""
    if form == "text":
        return [part for part, is_it in expressions.split(text, "{") if is_it]
    return [text.partition(":")[2].strip() if form == "line" else text]


def value_at(payload: Any, expression: str) -> Any:
    """Return the value of `expression`, null if it is none or fails."""
    try:
        return functions.value_of(_compiled(expression).parsed, payload)
    except Exception:  # JMESPath's own errors quote the value
        return _at_path(payload, expression)


def filled(text: str, payload: Mapping[str, Any], escape: Callable[[str], str] = str) -> str:
    """Return `text` with the escaped value, in words, in the place of each expression."""
    parts = _parts(text)
    if parts is None:
        return _PATH.sub(lambda match: escape(words(_at_path(payload, match[1]))), text)
    return "".join(escape(words(value_at(payload, part))) if is_value else part for part, is_value in parts)


def is_expression(text: str) -> bool:
    """Tell whether `text` is one ``{…}`` and nothing else."""
    return [is_value for _, is_value in _parts(text) or ()] == [True]


def shown(lines: Iterable[str], payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (label, value in words) of each line ``Label: expression`` that has a value."""
    pairs = ((label.strip(), source.strip()) for label, _, source in (line.partition(":") for line in lines))
    return [(label, text) for label, source in pairs if (text := words(value_at(payload, source)))]


def words(value: Any, most: int = MAX_VALUE) -> str:
    """Return a JSON value as a person reads it, `most` characters: an object by its name, a list with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return next((text for key in NAMES if (text := words(value.get(key), most))), "")
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(words, value[:20])))[:most]
    return str(value).strip()[:most]


_compiled = lru_cache(maxsize=1024)(functions.compiled)


@lru_cache(maxsize=256)
def _parts(text: str) -> list[tuple[str, bool]] | None:
    """Return the parts of `text`, None if it was written when a text knew paths alone."""
    return None if problem_of("text", text) else expressions.split(text, "{")


def _at_path(payload: Any, path: str) -> Any:
    """Return the value at ``a.b.c`` where it is no expression: ``1st.name``."""
    for key in path.split("."):
        payload = payload.get(key) if isinstance(payload, Mapping) else None
    return payload
