"""One expression: restricted JMESPath over declared names, checked when the template is loaded.

In: its text and the `Names` of its place. Out: `Expression`, whose `value` is plain JSON. Errors: ``ValueError`` while
loading; ``IntegrationPermanentError`` (code ``template``) while running, for a function that got the wrong type.
Beside what conditions may do (integrations/expressions.py) it may build objects, ``lines[*].{sku: sku}``, flatten
lists, and call `cut`, `cut_bytes`, `join`, `markdown`, `to_string`, `uuid` and `without_prefix`.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import jmespath
from jmespath.functions import Functions, signature

from integrations import expressions
from integrations.connectors.markup import markdown
from integrations.errors import IntegrationPermanentError

from .scope import MAX_RENDERED, Names, Scope, text_of
from .source import Text

NODES = expressions.NODES | {"multi_select_dict", "key_val_pair", "flatten"}
FUNCTIONS = expressions.FUNCTIONS | {"cut", "cut_bytes", "join", "markdown", "to_string", "uuid", "without_prefix"}
_STEPS = ("subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection")
NAMESPACE = uuid.UUID("6f0f5a0e-3f0c-5d0e-9a51-6a3a5a1f9d27")  # of the ids that uuid() makes; never changes


class _Functions(Functions):
    """Our functions beside JMESPath's own; those that make text are bounded."""

    @signature({"types": []}, {"types": ["number"]})
    def _func_cut(self, value: Any, length: float) -> str | None:
        """The first `length` characters of a text; null stays null."""
        return None if value is None else text_of(value)[: max(0, int(length))]

    @signature({"types": []}, {"types": ["number"]})
    def _func_markdown(self, value: Any, length: float) -> str | None:
        """A text as Markdown that shows it as it is, `length` characters at most; null stays null."""
        return None if value is None else markdown(text_of(Scope({}).plain(value)), max(0, int(length)))

    @signature({"types": []}, {"types": ["number"]})
    def _func_cut_bytes(self, value: Any, size: float) -> str | None:
        """As much of a text as takes at most `size` bytes in the body that is sent; null stays null."""
        return None if value is None else cut_bytes(text_of(value), max(0, int(size)))

    @signature({"types": []}, {"types": ["string"]})
    def _func_without_prefix(self, value: Any, prefix: str) -> str | None:
        """A text without the words that it may begin with; null stays null."""
        return None if value is None else text_of(value).removeprefix(prefix)

    @signature({"types": []})
    def _func_uuid(self, value: Any) -> str:
        """The same UUID for the same value, at every attempt."""
        return str(uuid.uuid5(NAMESPACE, text_of(value)))

    @signature({"types": []})
    def _func_to_string(self, value: Any) -> str | None:
        """Text as it is, everything else as compact JSON; null stays null."""
        return None if value is None else text_of(Scope({}).plain(value))

    @signature({"types": ["string"]}, {"types": ["array"]})
    def _func_join(self, separator: str, values: list[Any]) -> str:
        """The texts of a list in one; nulls are left out."""
        texts = [text_of(Scope({}).plain(value)) for value in values if value is not None]
        if sum(map(len, texts)) + len(separator) * len(texts) > MAX_RENDERED:
            raise ValueError("too long")
        return separator.join(texts)


def cut_bytes(text: str, size: int) -> str:
    """Return the longest beginning of `text` that takes at most `size` bytes as JSON, escapes included."""
    if len(json.dumps(text)) - 2 <= size:
        return text
    left = size
    for place, char in enumerate(text):
        left -= len(json.dumps(char)) - 2
        if left < 0:
            return text[:place]
    return text


_OPTIONS = jmespath.Options(custom_functions=_Functions())


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression; `place` is ``file:line``, for messages."""

    text: str
    place: str
    _compiled: Any = field(repr=False, compare=False)

    @classmethod
    def compile(cls, text: Text, names: Names, place: str) -> Expression:
        """Return the expression in `text`.

        Raises:
            ValueError: it is not JMESPath, too large, or uses a name that is not declared here.
        """
        compiled = expressions.compile_expression(str(text), nodes=NODES, functions=FUNCTIONS)
        if problem := _undeclared(compiled.parsed, names):
            raise ValueError(problem)
        return cls(str(text), place, compiled)

    def value(self, scope: Scope) -> Any:
        """Return what it says in `scope`; a name that the sender left out is null."""
        try:
            return scope.plain(self._compiled.search(scope.values, options=_OPTIONS))
        except IntegrationPermanentError as error:
            problem = error.message
        except Exception:  # JMESPath's own errors quote the value
            problem = "a function got a value that it cannot take"
        raise IntegrationPermanentError(f"{self.place}: {problem}", code="template")

    def holds(self, scope: Scope) -> bool:
        """Tell whether it is true, as a condition is; one that fails is not."""
        try:
            return bool(self._compiled.search(scope.values, options=_OPTIONS))
        except Exception:
            return False


def _undeclared(tree: Any, names: Names) -> str:
    """Say which name of `tree` is not declared, "" if all are. Only what is read from the root is a name."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        kind, children = node["type"], node["children"]
        if kind in ("current", "identity"):
            return f"'@' is everything at once; name what is meant: {names}"
        if kind == "field":
            if problem := _problem(node["value"], None, names):
                return problem
        elif kind == "subexpression" and children[0]["type"] == "field":
            second = children[1]
            name = second["value"] if second["type"] == "field" else None
            if problem := _problem(children[0]["value"], name, names):
                return problem
        elif kind in (
            "subexpression",
            "index_expression",
            "pipe",
            "projection",
            "value_projection",
            "filter_projection",
        ):
            waiting.append(children[0])  # what follows is read from its value
        else:
            waiting += children
    return ""


def _problem(root: str, name: str | None, names: Names) -> str:
    if root not in names.roots:
        if root == "secret":
            return "a secret may stand only in 'headers' and 'auth'"
        return f"{root[:50]} is not declared here; there are: {names}"
    fields = names.roots[root]
    if fields is None or name in fields:
        return ""
    known = ", ".join(f"{root}.{field}" for field in sorted(fields)) or "none"
    if name is None:
        return f"{root} by itself is not allowed; name one of: {known}"
    return f"{root}.{name[:50]} is not declared; there are: {known}"
