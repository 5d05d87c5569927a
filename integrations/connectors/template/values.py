"""Texts and JSON with ``${…}`` inside. Values are put into the parsed tree, never into its text.

So a value is one scalar whatever it contains, and cannot open a quote, a key or a path segment. A scalar that is
nothing but ``${…}`` becomes what the expression gives, with its type; inside a text a value becomes text. ``$${`` is a
plain ``${``. A key that ends with ``?`` is left out where its value is empty: null, "", {}, [] (``??``: a real ``?``);
an object in a list that lost all its keys goes with them.

In: parts of the tree, the `Names` of their place. Out: `Value`s with ``render(scope)``. `Names` is what is declared,
known when the template is loaded; `Scope` has the values, known when a call is made:

    config.<field>       the fields of the manifest that are no secret
    secret.<field>       the secret ones: in headers and auth, nowhere else
    event.type .id .sequence, payload        the event, in ``deliver``
    summary.title .description .lines .changes .link .text .name     … in words (connectors/summary.py)
    object.<key>                             … what it is about: ``payload.invoice`` of ``invoice_paid``
    param.<name>, page.cursor                an action's parameters, and where its next page begins
    response.status .json .text .headers     the answer

Errors: ``TemplateError`` while loading; ``IntegrationPermanentError`` (code ``template``) while running, for a function
that got the wrong type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Protocol

from integrations import expressions
from integrations.connectors import functions
from integrations.connectors.functions import Budget, text_of
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.errors import IntegrationPermanentError, TemplateError

from .source import Block, Items, Text, core

MAX_EXPRESSIONS = 300  # of one template
_STEPS = ("subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection")

EVENT = frozenset({"type", "id", "sequence"})
SUMMARY = frozenset({"title", "name", "description", "lines", "changes", "link", "text"})
RESPONSE = frozenset({"status", "json", "text", "headers"})


@dataclass(frozen=True, slots=True)
class Names:
    """Declared names: the root, and the fields that it has; None: whatever the sender put there."""

    roots: Mapping[str, frozenset[str] | None]
    secrets: frozenset[str] = frozenset()

    @classmethod
    def of(cls, manifest: Manifest) -> Names:
        """Return what every place may use: the public fields."""
        return cls({"config": public_fields(manifest)}, manifest.secret_names)

    def plus(self, **roots: Iterable[str] | None) -> Names:
        more = {name: None if fields is None else frozenset(fields) for name, fields in roots.items()}
        return Names({**self.roots, **more}, self.secrets)

    def problem_of(self, root: str, name: str | None) -> str:
        """Say that ``root.name`` is not declared, "" if it is; `name` None: it is used by itself."""
        if root not in self.roots:
            if root == "secret":
                return "a secret may stand only in 'headers' and 'auth'"
            return f"{root[:50]} is not declared here; there are: {self}"
        fields = self.roots[root]
        if fields is None or name in fields:
            return ""
        known = ", ".join(f"{root}.{field}" for field in sorted(fields)) or "none"
        if name is None:
            return f"{root} by itself is not allowed; name one of: {known}"
        return f"{root}.{name[:50]} is not declared; there are: {known}"

    def __str__(self) -> str:
        known: list[str] = []
        for root, fields in self.roots.items():
            known += [root] if fields is None else [f"{root}.{name}" for name in sorted(fields)]
        return ", ".join(known)


def public_fields(manifest: Manifest) -> frozenset[str]:
    """Return the fields that are no secret; the address and the free headers are the client's own business."""
    return frozenset(field.name for field in manifest.fields) - manifest.secret_names - {URL, HEADERS}


@dataclass(slots=True)
class Scope:
    """The values of the names for one call, and how much of them may still be written."""

    values: dict[str, Any] = field(repr=False)
    budget: Budget = field(default_factory=Budget)

    def plus(self, **values: Any) -> Scope:
        return Scope({**self.values, **values})


class Value(Protocol):
    def render(self, scope: Scope) -> Any: ...


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any

    def render(self, scope: Scope) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression; `place` is ``file:line``, for messages."""

    text: str
    place: str
    _tree: Any = field(repr=False, compare=False)

    def render(self, scope: Scope) -> Any:
        """Return what it says in `scope`, as plain JSON; a name that the sender left out is null."""
        try:
            return scope.budget.plain(functions.value_of(self._tree, scope.values))
        except IntegrationPermanentError as error:
            problem = error.message
        except Exception:  # JMESPath's own errors quote the value
            problem = "a function got a value that it cannot take"
        raise IntegrationPermanentError(f"{self.place}: {problem}", code="template")

    def holds(self, scope: Scope) -> bool:
        """Tell whether it is true, as a condition is; one that fails is not."""
        try:
            return bool(functions.value_of(self._tree, scope.values))
        except Exception:
            return False


@dataclass(frozen=True, slots=True)
class Mixed:
    """A text with expressions in it; `encode` turns each value into text."""

    parts: tuple[str | Expression, ...]
    encode: Callable[[Any], str] = text_of

    def render(self, scope: Scope) -> str:
        return "".join(part if isinstance(part, str) else self.encode(part.render(scope)) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Object:
    items: tuple[tuple[Value, bool, Value], ...]  # key, whether it is left out where it is empty, value
    place: str

    def render(self, scope: Scope) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, is_optional, item in self.items:
            name, value = text_of(key.render(scope)), item.render(scope)
            if is_optional and (name == "" or value is None or (isinstance(value, str | dict | list) and not value)):
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


class Compiler:
    """Makes values of one file, and counts its expressions."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._count = 0

    def error(self, problem: str, at: Any) -> TemplateError:
        """Return the error for the part `at` of the tree."""
        return TemplateError(problem, file=self.file, line=getattr(at, "line", 0), column=getattr(at, "column", 0))

    def place(self, at: Any) -> str:
        """Return ``crm.yaml:12`` or ``notion/connector.yaml:12``, for messages that people of a tenant read.

        Of the folders only the last, and that only where all files have one name: ours.
        """
        path = PurePath(self.file)
        name = f"{path.parent.name}/{path.name}" if path.name == "connector.yaml" else path.name
        return f"{name}:{getattr(at, 'line', 0)}"

    def expression(self, text: str, names: Names, at: Text) -> Expression:
        """Return the bare expression `text`, which stands in `at`."""
        self._count += 1
        if self._count > MAX_EXPRESSIONS:
            raise self.error(f"more than {MAX_EXPRESSIONS} expressions; split the template", at)
        try:
            tree = functions.compiled(str(text)).parsed
            problem = _undeclared(tree, names)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise self.error(f"in the expression {str(text)[:60]!r}: {problem}", at)
        return Expression(str(text), self.place(at), tree)

    def parts(self, text: Text, names: Names) -> tuple[str | Expression, ...]:
        """Return literal texts and expressions in turn; a text without any is one part."""
        try:
            found = expressions.split(text, "${")
        except ValueError as error:
            problem = str(error)
        else:
            return tuple(self.expression(part, names, text) if is_it else part for part, is_it in found)
        raise self.error(problem, text)

    def text(self, text: Text, names: Names) -> Value:
        """Return a text; it stays text whatever it looks like (``no``, ``010``), unless it is one expression."""
        parts = self.parts(text, names)
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return parts[0]
        return (
            Mixed(parts) if any(isinstance(part, Expression) for part in parts) else Constant("".join(map(str, parts)))
        )

    def json(self, raw: Any, names: Names) -> Value:
        """Return free JSON: plain scalars as in YAML 1.2, all the rest as it stands."""
        if isinstance(raw, Block):
            items = ((*self._key(key, names), self.json(value, names)) for key, value in raw.entries())
            return Object(tuple(items), self.place(raw))
        if isinstance(raw, Items):
            return Array(tuple(self.json(item, names) for item in raw))
        return self.text(raw, names) if "${" in raw else Constant(core(raw))

    def _key(self, key: Text, names: Names) -> tuple[Value, bool]:
        text = Text.at(key.removesuffix("?"), key.line, key.column)
        # What a person configured may name a key; what a sender wrote may not.
        own = Names({"config": names.roots.get("config", frozenset())})
        return self.text(text, own), key.endswith("?") and not key.endswith("??")


def _undeclared(tree: Any, names: Names) -> str:
    """Say which name of `tree` is not declared, "" if all are. Only what is read from the root is a name."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        kind, children = node["type"], node["children"]
        if kind in ("current", "identity"):
            return f"'@' is everything at once; name what is meant: {names}"
        if kind == "field":
            if problem := names.problem_of(node["value"], None):
                return problem
        elif kind == "subexpression" and children[0]["type"] == "field":
            if problem := names.problem_of(children[0]["value"], _first_field(children[1])):
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
