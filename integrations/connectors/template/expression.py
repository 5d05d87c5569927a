"""One expression: restricted JMESPath over declared names, checked when the template is loaded.

In: its text and the `Names` of its place. Out: `Expression`, whose `value` is plain JSON. Errors: ``ValueError`` while
loading; ``IntegrationPermanentError`` (code ``template``) while running, for a function that got the wrong type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from integrations.connectors import functions
from integrations.errors import IntegrationPermanentError

from .scope import Names, Scope
from .source import Text


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
        compiled = functions.compiled(str(text))
        if problem := _undeclared(compiled.parsed, names):
            raise ValueError(problem)
        return cls(str(text), place, compiled)

    def value(self, scope: Scope) -> Any:
        """Return what it says in `scope`; a name that the sender left out is null."""
        try:
            return scope.budget.plain(functions.INTERPRETER.visit(self._compiled.parsed, scope.values))
        except IntegrationPermanentError as error:
            problem = error.message
        except Exception:  # JMESPath's own errors quote the value
            problem = "a function got a value that it cannot take"
        raise IntegrationPermanentError(f"{self.place}: {problem}", code="template")

    def holds(self, scope: Scope) -> bool:
        """Tell whether it is true, as a condition is; one that fails is not."""
        try:
            return bool(functions.INTERPRETER.visit(self._compiled.parsed, scope.values))
        except Exception:
            return False


_STEPS = ("subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection")


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
            if problem := _problem(children[0]["value"], _first_field(children[1]), names):
                return problem
        elif kind in _STEPS:
            waiting.append(children[0])  # what follows is read from its value
        else:
            waiting += children
    return ""


def _first_field(node: Any) -> str | None:
    """Return the name that `node` begins with: ``lines`` of ``lines[*].sku``; None if it begins with none."""
    while node["type"] in _STEPS:
        node = node["children"][0]
    return node["value"] if node["type"] == "field" else None


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
