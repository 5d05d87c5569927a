"""A template's bytes as a tree whose every part knows its line. No type is guessed: every scalar is text.

In: UTF-8 YAML 1.2, one document, a mapping. Out: `Block`, `Items` and `Text`. Errors: ``TemplateError`` with the line.
Refused: tags (``!!python/object``), anchors and aliases (bombs), merge keys, keys given twice, documents that are
too large or too deep. It reads the parser's events one by one and stops at the first that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from integrations.errors import TemplateError

MAX_BYTES = 65536
MAX_DEPTH = 32
MAX_PARTS = 5000


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
    return _Builder(file).build(_events(text, file))


def _events(text: str, file: str) -> Iterator[Any]:
    """The parser's events; whatever it stumbles over is a TemplateError."""
    parser = None
    try:
        parser = yaml.SafeLoader(text)
        while parser.check_event():
            yield parser.get_event()
        return
    except yaml.reader.ReaderError as error:
        line, column = text[: error.position].count("\n") + 1, 0
        problem = "a control character; remove it"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 0)
        problem = f"not YAML: {error.problem or error.context}; check quotes, colons and indentation"
    except Exception:  # e.g. "\UFFFFFFFF" is a bare ValueError from chr()
        line, column = (parser.line + 1 if parser is not None else 1), 0
        problem = "not YAML: the parser cannot read this; check the escapes in quoted text"
    raise TemplateError(problem, file=file, line=line, column=column)


class _Builder:
    """Puts the events together; knows the file's name for messages."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[Block | Items] = []  # from the root to what is being filled
        self._keys: list[Text | None] = []  # the key that waits for its value, for each of them
        self._root: Block | None = None
        self._parts = 0
        self._documents = 0

    def build(self, events: Iterator[Any]) -> Block:
        for event in events:
            self._take(event)
        if self._root is None:
            raise TemplateError("the file is empty; see docs/templates.md for an example", file=self._file)
        return self._root

    def _fail(self, problem: str, event: Any) -> NoReturn:
        mark = event.start_mark
        raise TemplateError(problem, file=self._file, line=mark.line + 1, column=mark.column + 1)

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._fail("a second document; a file holds one template", event)
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._fail("anchors and aliases (&, *) are not allowed; write the value out, or quote the text", event)
        elif getattr(event, "tag", None):
            self._fail("tags (!…) are not allowed; remove it, or quote the text that begins with '!'", event)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()

    def _start(self, event: Any) -> None:
        made: Block | Items = Block() if isinstance(event, yaml.MappingStartEvent) else Items()
        made.line, made.column = event.start_mark.line + 1, event.start_mark.column + 1
        if len(self._open) == MAX_DEPTH:
            self._fail(f"nested more than {MAX_DEPTH} deep; flatten it", event)
        self._put(made, event)
        self._open.append(made)
        self._keys.append(None)

    def _scalar(self, event: Any) -> None:
        text: str = event.value
        if "\0" in text or (not text.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in text)):
            self._fail("a character that cannot be sent (NUL or half a surrogate pair); remove it", event)
        mark = event.start_mark
        self._put(Text.at(text, mark.line + 1, mark.column + 1, event.style is None), event)

    def _put(self, value: Any, event: Any) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            self._fail(f"more than {MAX_PARTS} keys and values; split the template", event)
        if not self._open:
            if not isinstance(value, Block):
                self._fail("a template is a mapping: version, connector, manifest, …", event)
            self._root = value
            return
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, Items):
            parent.append(value)
        elif key is not None:
            parent[key], self._keys[-1] = value, None
        else:
            self._keys[-1] = self._checked_key(parent, value, event)

    def _checked_key(self, parent: Block, key: Any, event: Any) -> Text:
        if not isinstance(key, Text) or not key:
            self._fail("a key must be text", event)
        if key == "<<" and key.is_plain:
            self._fail("merge keys (<<) are not allowed; write the keys out", event)
        if key in parent:
            first = next(other for other, _ in parent.entries() if other == key)
            self._fail(f"the key {key[:50]!r} is given twice, first in line {first.line}; remove one", event)
        return key
