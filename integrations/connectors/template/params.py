"""The parameters of an action: declared in the template, checked at every call.

In: the declaration and what the caller gave. Out: a value for every declared name. Errors: ``ConfigurationError`` that
names what is missing, unknown or of the wrong type; never a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.errors import ConfigurationError

from .scalars import core
from .schema import Param
from .source import Block, Items, Text

_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list, tuple),
    "object": (dict,),
}
_WORDS = {
    "text": "must be text",
    "integer": "must be a whole number",
    "number": "must be a number",
    "boolean": "must be true or false",
    "list": "must be a list",
    "object": "must be an object",
}


def checked_params(action: str, declared: Mapping[str, Param], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with defaults filled in; what is not given and has none is null."""
    names = ", ".join(declared) or "none"
    problems = {name: f"unknown; {action} has the parameters: {names}" for name in given if name not in declared}
    values: dict[str, Any] = {}
    for name, param in declared.items():
        value = given.get(name)
        values[name] = default_of(param) if value is None else value
        if values[name] is None and param.required:
            problems[name] = "missing; it is required"
        elif values[name] is not None and not fits(param.kind, values[name]):
            problems[name] = _WORDS[param.kind]
    if problems:
        raise ConfigurationError(problems)
    return values


def default_of(param: Param) -> Any:
    """Return the default in the parameter's type: for a text ``no`` is "no"."""
    return str(param.default) if param.kind == "text" and param.default is not None else plain(param.default)


def fits(kind: str, value: Any) -> bool:
    if isinstance(value, bool):  # which Python counts as an int
        return kind in ("boolean", "any")
    return kind == "any" or isinstance(value, _TYPES[kind])


def plain(raw: Any) -> Any:
    """Return a part of the tree as JSON values, without any substitution."""
    if isinstance(raw, Block):
        return {str(key): plain(value) for key, value in raw.items()}
    if isinstance(raw, Items):
        return [plain(value) for value in raw]
    return core(raw) if isinstance(raw, Text) else raw
