"""One call: where the values of a template go, and what the answer says of itself.

Values cannot leave their place: in a path they are percent-encoded and are never a dot segment, nor nothing; in a query
they are encoded by the client; in a header they hold no line break. Errors: ``TemplateError`` while loading,
``IntegrationPermanentError`` (code ``template`` or ``header_invalid``) while running.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from integrations.connectors.functions import text_of
from integrations.errors import IntegrationError, IntegrationPermanentError, printable
from integrations.transport.classify import LIMIT
from integrations.transport.http.headers import HeaderRejected, check_headers
from integrations.transport.redaction import redact
from integrations.transport.response import Response

from .source import Block, Text
from .values import Compiler, Constant, Mixed, Names, Scope, Value

Headers = tuple[tuple[str, Value], ...]

_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*", re.ASCII)
_DOTS = frozenset({".", ".."})

MAX_REASON = 200  # characters of what an answer says of itself
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s?", re.ASCII)  # with "s": a Duration of protocol buffers' JSON


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, before authentication."""

    path: str
    query: dict[str, Any] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Path:
    """A path with values in it; `place` is ``file:line``, for messages."""

    value: Mixed
    place: str

    def render(self, scope: Scope) -> str:
        path = self.value.render(scope)
        if not _DOTS.isdisjoint(path.split("/")):
            raise IntegrationPermanentError(f"{self.place}: a value would change the path", code="template")
        return path


def compile_path(text: Text, names: Names, compiler: Compiler) -> Path:
    parts = compiler.parts(text, names)
    # An expression stands for a letter here: what is checked is what we wrote ourselves.
    skeleton = "".join(part if isinstance(part, str) else "x" for part in parts)
    if not _PATH.fullmatch(skeleton):
        raise compiler.error("a path is '' or begins with '/', without '?', '#' and spaces; use query", text)
    if "//" in skeleton or not _DOTS.isdisjoint(skeleton.split("/")):
        raise compiler.error("a path has no '//', '.' or '..'; write it out", text)
    place = compiler.place(text)
    return Path(Mixed(parts, partial(_segment, place)), place)


def compile_headers(raw: Block, names: Names, compiler: Compiler) -> Headers:
    """Return (name, value) of the headers of a template."""
    found: list[tuple[str, Value]] = []
    for name, text in raw.entries():
        if not isinstance(text, Text):
            raise compiler.error(f"the header {name} must be text", text)
        check_header(name, "", name, compiler)
        if any(name.lower() == other.lower() for other, _ in found):
            raise compiler.error(f"the header {name} is given twice; case does not matter", name)
        value = compile_header(name, text, names, compiler)
        # The client writes this one too, so it must be spelt as it does.
        found.append(("Content-Type" if name.lower() == "content-type" else str(name), value))
    return tuple(found)


def compile_header(name: str, text: Text, names: Names, compiler: Compiler) -> Value:
    """Return the value of a header; one that could never be sent, whatever its expressions give, is an error."""
    value = compiler.text(text, names)
    parts = value.parts if isinstance(value, Mixed) else (value.value,) if isinstance(value, Constant) else ()
    check_header(name, "".join(part if isinstance(part, str) else "x" for part in parts), text, compiler)
    return value


def check_header(name: str, value: str, at: Text, compiler: Compiler) -> None:
    """Raise TemplateError for the name of a header that is not ours to set, or a value that cannot be sent."""
    problem = ""
    try:
        check_headers({name: value})
    except HeaderRejected as rejected:
        problem = rejected.message
    if problem:
        raise compiler.error(problem, at)


def render_headers(headers: Headers, scope: Scope) -> dict[str, str]:
    """Return the headers to send; one whose value is nothing is left out."""
    problem = ""
    try:
        return check_headers(_texts(headers, scope))
    except HeaderRejected as rejected:
        problem = rejected.message
    # Out here no frame holds a value: reporters show locals.
    raise IntegrationPermanentError(problem, code="header_invalid")


def render_query(query: Value | None, scope: Scope) -> dict[str, Any]:
    """Return the query parameters to send; what is null is left out."""
    made = query.render(scope) if query is not None else {}
    return {
        name: [text_of(item) for item in value] if isinstance(value, list) else text_of(value)
        for name, value in made.items()
        if value is not None
    }


def _texts(headers: Headers, scope: Scope) -> dict[str, str]:
    texts = {name: text_of(value.render(scope)) for name, value in headers}
    return {name: text for name, text in texts.items() if text}


def _segment(place: str, value: Any) -> str:
    """A value as a part of a path; nothing would make it another path, so nothing is refused."""
    text = text_of(value)
    if text == "" or isinstance(value, dict | list):
        raise IntegrationPermanentError(f"{place}: a value that the path needs is empty or no text", code="template")
    return quote(text, safe="")


def answer(response: Response) -> dict[str, Any]:
    """Return the fields of ``response`` for a received answer; ``json`` is null for what is no JSON."""
    text = response.body[:65536].decode("utf-8", "replace")
    return {"status": response.status, "json": response.json, "text": text, "headers": dict(response.headers.items())}


def reason_in(reason: Value | None, scope: Scope, secrets: Iterable[str]) -> str:
    """Return what an answer says of itself, on one line, redacted; "" if it says nothing."""
    try:
        text = "" if reason is None else text_of(reason.render(scope))
    except IntegrationError:
        return ""
    return redact(printable(" ".join(text.split())), tuple(secrets))[:MAX_REASON]


def seconds_in(wait: Value | None, scope: Scope) -> float | None:
    """Return the seconds that an answer names as ``12``, ``"12.5"`` or ``"34s"``; None for anything else."""
    try:
        value = None if wait is None else wait.render(scope)
    except IntegrationError:
        return None
    if isinstance(value, bool):
        return None
    match = _SECONDS.fullmatch(value) if isinstance(value, str) else None
    number = float(match[1]) if match else value if isinstance(value, int | float) else None
    return min(float(number), LIMIT) if number is not None and number >= 0 else None
