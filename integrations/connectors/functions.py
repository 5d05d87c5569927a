"""What expressions may build and call in templates and settings, beside what conditions may.

Functions that make text, and the bound on what all expressions of one request may make. Errors:
``IntegrationPermanentError`` (too much), ``ValueError`` and JMESPath's own (a function got the wrong type).
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jmespath.functions import signature

from integrations import expressions
from integrations.errors import IntegrationPermanentError

from .markup import markdown

MAX_RENDERED = 4 * 1024 * 1024  # characters of one request or answer, all values together
MAX_DEPTH = 64  # of a value
MAX_STEPS = 1_000_000  # of one evaluation (expressions.py): here no user waits, and orders have many lines
NAMESPACE = uuid.UUID("6f0f5a0e-3f0c-5d0e-9a51-6a3a5a1f9d27")  # of the ids that uuid() makes; never changes
FUNCTIONS = expressions.FUNCTIONS | {"cut", "cut_bytes", "join", "markdown", "to_string", "uuid", "without_prefix"}


@dataclass(slots=True)
class Budget:
    """How many characters may still be made."""

    left: int = MAX_RENDERED

    def spend(self, characters: int) -> None:
        """Raise IntegrationPermanentError if there are not so many left."""
        self.left -= characters
        if self.left < 0:
            raise IntegrationPermanentError(f"what the template makes of this is over {MAX_RENDERED} characters")

    def plain(self, value: Any, depth: int = 0) -> Any:
        """Return `value` as what JSON can say, or raise IntegrationPermanentError if it is too much.

        NaN and infinity become null, half surrogate pairs a question mark: neither has a form on the wire.
        """
        self.spend(len(value) + 2 if isinstance(value, str) else 2)
        if isinstance(value, str):
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if depth == MAX_DEPTH:
            raise IntegrationPermanentError(f"what the template makes of this is nested over {MAX_DEPTH} deep")
        if isinstance(value, Mapping):
            return {self.plain(str(key)): self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, depth + 1) for item in value]
        return str(value)


def text_of(value: Any) -> str:
    """Return a plain value as it stands inside a text: null is nothing, objects and lists are compact JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class TextFunctions(expressions.Functions):
    """The functions that make text, for one evaluation: what all of them make is bounded together."""

    def __init__(self) -> None:
        self._budget = Budget()

    def _text(self, value: Any) -> str:
        return text_of(self._budget.plain(value))

    @signature({"types": []}, {"types": ["number"]})
    def _func_cut(self, value: Any, length: float) -> str | None:
        """The first `length` characters of a text; null stays null."""
        return None if value is None else self._text(value)[: max(0, int(length))]

    @signature({"types": []}, {"types": ["number"]})
    def _func_markdown(self, value: Any, length: float) -> str | None:
        """A text as Markdown that shows it as it is, `length` characters at most; null stays null."""
        return None if value is None else markdown(self._text(value), max(0, int(length)))

    @signature({"types": []}, {"types": ["number"]})
    def _func_cut_bytes(self, value: Any, size: float) -> str | None:
        """As much of a text as takes at most `size` bytes in the body that is sent; null stays null."""
        return None if value is None else cut_bytes(self._text(value), max(0, int(size)))

    @signature({"types": []}, {"types": ["string"]})
    def _func_without_prefix(self, value: Any, prefix: str) -> str | None:
        """A text without the words that it may begin with; null stays null."""
        return None if value is None else self._text(value).removeprefix(prefix)

    @signature({"types": []})
    def _func_uuid(self, value: Any) -> str:
        """The same UUID for the same value, at every attempt."""
        return str(uuid.uuid5(NAMESPACE, self._text(value)))

    @signature({"types": []})
    def _func_to_string(self, value: Any) -> str | None:
        """Text as it is, everything else as compact JSON; null stays null."""
        return None if value is None else self._text(value)

    @signature({"types": ["string"]}, {"types": ["array"]})
    def _func_join(self, separator: str, values: list[Any]) -> str:
        """The texts of a list in one; nulls are left out."""
        texts = [self._text(value) for value in values if value is not None]
        self._budget.spend(len(separator) * len(texts))
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


def value_of(tree: Any, value: Any) -> Any:
    """Return what the tree of a `compiled` expression finds in `value`.

    Raises:
        IntegrationPermanentError: it makes too much text, or takes too many steps.
        ValueError: a function got the wrong type (JMESPath's own, which quotes the value).
    """
    return expressions.Interpreter(TextFunctions(), MAX_STEPS).visit(tree, value)


def compiled(text: str) -> Any:
    """Return the expression `text`, which may build values and call these functions.

    Raises:
        ValueError: as `expressions.compile_expression`; or a text stands in backticks.
    """
    if problem := expressions.literal_problem(text):
        raise ValueError(problem[0].lower() + problem[1:])
    return expressions.compile_expression(text, nodes=expressions.BUILDS, functions=FUNCTIONS)
