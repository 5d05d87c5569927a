"""Texts and JSON with ``${…}`` inside. Values are put into the parsed tree, never into its text.

So a value is one scalar whatever it contains, and cannot open a quote, a key or a path segment. A scalar that is
nothing but ``${…}`` becomes what the expression gives, with its type; inside a text a value becomes text. ``$${`` is a
plain ``${``. A key that ends with ``?`` is left out where its value is empty: null, "", {}, [] (``??``: a real ``?``);
an object in a list that lost all its keys goes with them.

In: parts of the tree, the `Names` of their place. Out: `Value`s with ``render(scope)``. Errors: ``TemplateError``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

from integrations import expressions
from integrations.connectors.functions import text_of
from integrations.errors import IntegrationPermanentError, TemplateError

from .expression import Expression
from .scalars import core
from .scope import Names, Scope
from .source import Block, Items, Text

MAX_EXPRESSIONS = 300  # of one template


class Value(Protocol):
    def render(self, scope: Scope) -> Any: ...


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any

    def render(self, scope: Scope) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Whole:
    """A scalar that is one expression."""

    expression: Expression

    def render(self, scope: Scope) -> Any:
        return self.expression.value(scope)


@dataclass(frozen=True, slots=True)
class Mixed:
    """A text with expressions in it; `encode` turns each value into text."""

    parts: tuple[str | Expression, ...]
    encode: Callable[[Any], str] = text_of

    def render(self, scope: Scope) -> str:
        return "".join(part if isinstance(part, str) else self.encode(part.value(scope)) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an object."""

    text: Value
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Object:
    items: tuple[tuple[Key, Value], ...]
    place: str

    def render(self, scope: Scope) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in self.items:
            name, value = text_of(key.text.render(scope)), item.render(scope)
            if key.is_optional and (name == "" or is_empty(value)):
                continue
            if name in made:
                raise IntegrationPermanentError(f"{self.place}: two keys have the same name here", code="template")
            made[name] = value
        return made


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Value, ...]

    def render(self, scope: Scope) -> list[Any]:
        made = [(item, item.render(scope)) for item in self.items]
        # An object that was written with keys and lost all of them says nothing.
        return [value for item, value in made if value != {} or not (isinstance(item, Object) and item.items)]


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | dict | list) and not value)


class Compiler:
    """Makes values of one file, and counts its expressions."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._count = 0

    def error(self, problem: str, at: Any) -> TemplateError:
        """Return the error for the part `at` of the tree."""
        return TemplateError(problem, file=self.file, line=getattr(at, "line", 0), column=getattr(at, "column", 0))

    def place(self, at: Any) -> str:
        """Return ``crm.yaml:12``, for messages that people of a tenant read: no folder of ours."""
        return f"{PurePath(self.file).name}:{getattr(at, 'line', 0)}"

    def expression(self, text: Text, names: Names, at: Text | None = None) -> Expression:
        """Return the bare expression `text`."""
        at = text if at is None else at
        self._count += 1
        if self._count > MAX_EXPRESSIONS:
            raise self.error(f"more than {MAX_EXPRESSIONS} expressions; split the template", at)
        try:
            return Expression.compile(text, names, self.place(at))
        except ValueError as error:
            problem = f"in the expression {str(text)[:60]!r}: {error}"
        raise self.error(problem, at)

    def parts(self, text: Text, names: Names) -> tuple[str | Expression, ...]:
        """Return literal texts and expressions in turn; a text without any is one part."""
        try:
            found = expressions.split(text, "${")
        except ValueError as error:
            problem = str(error)
        else:
            return tuple(self.expression(Text(part), names, text) if is_it else part for part, is_it in found)
        raise self.error(problem, text)

    def text(self, text: Text, names: Names, encode: Callable[[Any], str] | None = None) -> Value:
        """Return a text; it stays text whatever it looks like (``no``, ``010``), unless it is one expression."""
        parts = self.parts(text, names)
        if all(isinstance(part, str) for part in parts):
            return Constant("".join(part for part in parts if isinstance(part, str)))
        if encode is not None:
            return Mixed(parts, encode)
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return Whole(parts[0])
        return Mixed(parts)

    def json(self, raw: Any, names: Names) -> Value:
        """Return free JSON: plain scalars as in YAML 1.2, all the rest as it stands."""
        if isinstance(raw, Block):
            items = ((self._key(key, names), self.json(value, names)) for key, value in raw.entries())
            return Object(tuple(items), self.place(raw))
        if isinstance(raw, Items):
            return Array(tuple(self.json(item, names) for item in raw))
        return self.text(raw, names) if "${" in raw else Constant(core(raw))

    def _key(self, key: Text, names: Names) -> Key:
        is_optional = key.endswith("?") and not key.endswith("??")
        text = Text.at(key[:-1] if key.endswith("?") else key, key.line, key.column)
        # What a person configured may name a key; what a sender wrote may not.
        own = Names({"config": names.roots.get("config", frozenset())})
        return Key(self.text(text, own), is_optional)
