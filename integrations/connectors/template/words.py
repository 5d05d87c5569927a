"""What pydantic finds wrong with a template, in our words and with the line.

In: a ValidationError and the tree that was validated. Out: one ``TemplateError``, for the first problem in the file.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from integrations.errors import TemplateError, printable

from .source import Block

_KEY = "[key]"  # pydantic's mark for "the key itself"
_WORDS = {
    "missing": "is missing; add it",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list (- …)",
    "list_type": "must be a list (- …)",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
}


def explain(error: ValidationError, tree: Block, file: str, known: type[BaseModel]) -> TemplateError:
    """Return the first problem of `error`, by line, as a TemplateError.

    Args:
        known: the model that was asked for, to name the keys that there are.
    """
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        if isinstance(own := problem.get("ctx", {}).get("error"), TemplateError):  # it knows its place itself
            found.append((own.line, own.column, own.problem))
            continue
        loc = tuple(part for part in problem["loc"] if part != _KEY)
        is_key = len(loc) < len(problem["loc"]) or problem["type"] == "extra_forbidden"
        line, column = _position(tree, loc, is_key)
        found.append((line, column, _sentence(problem, known)))
    line, column, words = min(found)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return TemplateError(words + more, file=file, line=line, column=column)


def _sentence(problem: Any, known: type[BaseModel]) -> str:
    loc = [part for part in problem["loc"] if part != _KEY]
    name = ".".join(str(part) for part in loc) or "the template"
    context = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        keys = _keys_at(known, problem["loc"][:-1])
        close = get_close_matches(str(problem["loc"][-1]), keys, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(keys)}" if keys else "remove it"
        words = f"is unknown; {hint}"
    elif problem["type"] == "literal_error":
        words = f"must be one of: {context['expected']}"
    elif problem["type"] == "string_pattern_mismatch":
        words = f"must match {context['pattern']}"
    elif problem["type"] in ("value_error", "assertion_error"):
        words = str(context["error"])
    else:
        words = _WORDS.get(problem["type"], problem["msg"])
    return printable(f"{name}: {words}")


def _keys_at(model: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the model at `loc`; [] where it cannot be told."""
    for part in loc:
        field = next((each for name, each in model.model_fields.items() if part == (each.alias or name)), None)
        if field is None:
            continue  # the place in a list, or the name of an entry, as in actions.<name>
        model = _inner(field.annotation)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner(annotation: Any) -> Any:
    """Return the model inside ``X | None``, ``tuple[X, …]`` or ``dict[str, X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = getattr(annotation, "__args__", ())
    return next((found for each in arguments if (found := _inner(each)) is not None), None)


def _position(tree: Any, loc: tuple[int | str, ...], wants_key: bool) -> tuple[int, int]:
    """Return line and column of what `loc` names, or of the nearest thing around it."""
    place = tree
    here = (tree.line, tree.column)
    for index, part in enumerate(loc):
        is_last = index == len(loc) - 1
        if isinstance(tree, Block) and part in tree:
            key = next(key for key, _ in tree.entries() if key == part)
            tree = tree[key]
            place = key if is_last and wants_key else tree
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = place = tree[part]
        else:
            continue
        here = (getattr(place, "line", 0) or here[0], getattr(place, "column", 0) or here[1])
    return here
