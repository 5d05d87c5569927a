"""A template's bytes as a tree whose every part knows its line. No type is guessed: every scalar is text.

In: UTF-8 YAML 1.2, one document, a mapping. Out: `Block`, `Items` and `Text`. Errors: ``TemplateError`` with the line.
Refused: tags (``!!python/object``), anchors and aliases (bombs), merge keys, keys given twice, documents that are too
large or too deep. PyYAML parses and composes; what is refused is refused before it is composed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from integrations.errors import TemplateError

MAX_BYTES = 65536
MAX_DEPTH = 32
MAX_PARTS = 5000
MAX_NUMBER = 300  # characters
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Text(str):
    """A scalar; `is_plain`: it stands without quotes."""

    line: int = 0
    column: int = 0
    is_plain: bool = False

    @classmethod
    def at(cls, text: str, line: int, column: int, is_plain: bool = False) -> Text:
        made = cls(text)
        made.line, made.column, made.is_plain = line, column, is_plain
        return made


class Block(dict[str, Any]):
    """A mapping; its keys are `Text` too."""

    line: int = 0
    column: int = 0

    def entries(self) -> Iterator[tuple[Text, Any]]:
        for key, value in self.items():
            yield (key if isinstance(key, Text) else Text(key)), value


class Items(list[Any]):
    """A list."""

    line: int = 0
    column: int = 0


def read(data: bytes, file: str = "") -> Block:
    """Return the tree of a template.

    Raises:
        TemplateError: it is no such YAML; the message says where and what to do.
    """
    if len(data) > MAX_BYTES:
        raise TemplateError(f"the file is larger than {MAX_BYTES} bytes; split it", file=file)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TemplateError("the file is not UTF-8; save it as UTF-8", file=file, line=line) from None
    loader = None
    try:
        loader = _Loader(text, file)
        return loader.tree()
    except TemplateError:
        raise
    except yaml.reader.ReaderError as error:
        line, column = text[: error.position].count("\n") + 1, 0
        problem = "a control character; remove it"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 0)
        problem = f"not YAML: {error.problem or error.context}; check quotes, colons and indentation"
    except Exception:  # e.g. "\UFFFFFFFF" is a bare ValueError from chr()
        line, column = (loader.line + 1 if loader is not None else 1), 0
        problem = "not YAML: the parser cannot read this; check the escapes in quoted text"
    raise TemplateError(problem, file=file, line=line, column=column)


def core(text: Text) -> Any:
    """Return what a scalar means in free JSON: a plain one what YAML 1.2 and JSON agree on, so ``no`` is text."""
    if not text.is_plain:
        return str(text)
    if text in _WORDS:
        return _WORDS[text]
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return str(text)
    is_number = isinstance(value, int | float) and len(text) <= MAX_NUMBER and math.isfinite(value)
    return value if is_number else str(text)


def plain(raw: Any) -> Any:
    """Return a part of the tree as JSON values, without any substitution."""
    if isinstance(raw, Block):
        return {str(key): plain(value) for key, value in raw.items()}
    if isinstance(raw, Items):
        return [plain(value) for value in raw]
    return core(raw) if isinstance(raw, Text) else raw


class _Loader(yaml.BaseLoader):
    """Composes nodes, which have no types but text, and makes the tree of them."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._depth = self._parts = 0
        super().__init__(text)

    def tree(self) -> Block:
        if not self.check_node():
            raise TemplateError("the file is empty; see docs/templates.md for an example", file=self._file)
        node = self.get_node()
        if self.check_node():
            self._fail("a second document; a file holds one template", self.peek_event())
        if not isinstance(node, yaml.MappingNode):
            self._fail("a template is a mapping: version, connector, manifest, …", node)
        made: Block = self._made(node)
        return made

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._fail("anchors and aliases (&, *) are not allowed; write the value out, or quote the text", event)
        if getattr(event, "tag", None):
            self._fail("tags (!…) are not allowed; remove it, or quote the text that begins with '!'", event)
        self._parts += 1
        if self._parts > MAX_PARTS:
            self._fail(f"more than {MAX_PARTS} keys and values; split the template", event)
        if self._depth == MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            self._fail(f"nested more than {MAX_DEPTH} deep; flatten it", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _made(self, node: Any) -> Any:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if isinstance(node, yaml.ScalarNode):
            text: str = node.value
            if "\0" in text or (not text.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in text)):
                self._fail("a character that cannot be sent (NUL or half a surrogate pair); remove it", node)
            return Text.at(text, line, column, node.style is None)
        made: Block | Items = Block() if isinstance(node, yaml.MappingNode) else Items()
        made.line, made.column = line, column
        if isinstance(made, Items):
            made.extend(map(self._made, node.value))
            return made
        for key_node, value_node in node.value:
            key = self._made(key_node)
            if not isinstance(key, Text) or not key:
                self._fail("a key must be text", key_node)
            if key == "<<" and key.is_plain:
                self._fail("merge keys (<<) are not allowed; write the keys out", key_node)
            if key in made:
                first = next(other for other, _ in made.entries() if other == key)
                self._fail(f"the key {key[:50]!r} is given twice, first in line {first.line}; remove one", key_node)
            made[key] = self._made(value_node)
        return made

    def _fail(self, problem: str, at: Any) -> NoReturn:
        mark = at.start_mark
        raise TemplateError(problem, file=self._file, line=mark.line + 1, column=mark.column + 1)
