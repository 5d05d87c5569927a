"""One HTTP call of a template: compiled when it is loaded, made into a request when it is sent.

In: a `CallShape` and the names of its place. Out: `Call`, whose `request(scope)` is what goes to the HTTPClient.
Values cannot leave their place: in a path they are percent-encoded and are never a dot segment, nor nothing; in a query
they are encoded; in a header they hold no line break. Errors: ``TemplateError`` while loading,
``IntegrationPermanentError`` (code ``template`` or ``header_invalid``) while running.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from integrations.connectors.functions import text_of
from integrations.errors import IntegrationPermanentError
from integrations.transport.headers import HeaderRejected, check_headers

from .answers import When, compile_when
from .schema import CallShape
from .scope import Names, Scope
from .source import Block, Text
from .values import Compiler, Mixed, Value

_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*", re.ASCII)
_DOTS = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, before authentication."""

    path: str
    query: dict[str, Any] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: Value
    query: Value | None
    headers: tuple[tuple[str, Value], ...]
    body: Value | None
    success: tuple[When, ...]
    place: str

    def request(self, scope: Scope, secret: Scope) -> Request:
        """Return the request for `scope`; `secret` is the same with the secrets, for headers alone."""
        query = self.query.render(scope) if self.query is not None else {}
        return Request(
            path=self._rendered_path(scope),
            query={name: _query_value(value) for name, value in query.items() if value is not None},
            headers=render_headers(self.headers, secret),
            body=self.body.render(scope) if self.body is not None else None,
        )

    def _rendered_path(self, scope: Scope) -> str:
        path: str = self.path.render(scope)
        if not _DOTS.isdisjoint(path.split("/")):
            raise IntegrationPermanentError(f"{self.place}: a value would change the path", code="template")
        return path


def compile_call(shape: CallShape, names: Names, compiler: Compiler) -> Call:
    """Return the call that `shape` describes."""
    return Call(
        method=shape.method,
        path=_compile_path(shape.path, names, compiler),
        query=compiler.json(shape.query, names) if shape.query is not None else None,
        headers=compile_headers(shape.headers, names.with_secrets(), compiler),
        body=compiler.json(shape.body, names) if shape.body is not None else None,
        success=tuple(compile_when(each, compiler) for each in shape.success),
        place=compiler.place(shape.path),
    )


def compile_headers(raw: Block | None, names: Names, compiler: Compiler) -> tuple[tuple[str, Value], ...]:
    """Return (name, value) of the headers of a template."""
    found: list[tuple[str, Value]] = []
    for name, value in (raw or Block()).entries():
        if not isinstance(value, Text):
            raise compiler.error(f"the header {name} must be text", value)
        check_name(name, compiler)
        if any(name.lower() == other.lower() for other, _ in found):
            raise compiler.error(f"the header {name} is given twice; case does not matter", name)
        # The client writes this one too, so it must be spelt as it does.
        spelt = "Content-Type" if name.lower() == "content-type" else str(name)
        check_value(name, value, names, compiler)
        found.append((spelt, compiler.text(value, names)))
    return tuple(found)


def check_value(name: str, text: Text, names: Names, compiler: Compiler) -> None:
    """Raise TemplateError for the text of a header that could never be sent, whatever its expressions give."""
    parts = Compiler(compiler.file).parts(text, names)  # another one: these are not counted
    _check_header(name, "".join(part if isinstance(part, str) else "x" for part in parts), text, compiler)


def check_name(name: Text, compiler: Compiler) -> None:
    """Raise TemplateError for the name of a header that is not ours to set."""
    _check_header(str(name), "", name, compiler)


def _check_header(name: str, value: str, at: Text, compiler: Compiler) -> None:
    problem = ""
    try:
        check_headers({name: value})
    except HeaderRejected as rejected:
        problem = rejected.message
    if problem:
        raise compiler.error(problem, at)


def render_headers(headers: tuple[tuple[str, Value], ...], scope: Scope) -> dict[str, str]:
    """Return the headers to send; one whose value is nothing is left out."""
    problem = ""
    try:
        return check_headers(_texts(headers, scope))
    except HeaderRejected as rejected:
        problem = rejected.message
    # Out here no frame holds a value: reporters show locals.
    raise IntegrationPermanentError(problem, code="header_invalid")


def _texts(headers: tuple[tuple[str, Value], ...], scope: Scope) -> dict[str, str]:
    texts = {name: text_of(value.render(scope)) for name, value in headers}
    return {name: text for name, text in texts.items() if text}


def _compile_path(text: Text, names: Names, compiler: Compiler) -> Value:
    parts = compiler.parts(text, names)
    # An expression stands for a letter here: what is checked is what we wrote ourselves.
    skeleton = "".join(part if isinstance(part, str) else "x" for part in parts)
    if not _PATH.fullmatch(skeleton):
        raise compiler.error("a path is '' or begins with '/', without '?', '#' and spaces; use query", text)
    if "//" in skeleton or not _DOTS.isdisjoint(skeleton.split("/")):
        raise compiler.error("a path has no '//', '.' or '..'; write it out", text)
    return Mixed(parts, partial(_segment, compiler.place(text)))


def _segment(place: str, value: Any) -> str:
    """A value as a part of a path; nothing would make it another path, so nothing is refused."""
    text = text_of(value)
    if text == "" or isinstance(value, dict | list):
        raise IntegrationPermanentError(f"{place}: a value that the path needs is empty or no text", code="template")
    return quote(text, safe="")


def _query_value(value: Any) -> Any:
    return [text_of(item) for item in value] if isinstance(value, list) else text_of(value)
