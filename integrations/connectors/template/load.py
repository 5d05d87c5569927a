"""Template files, read, checked and compiled: everything wrong with one is found here, before it is used.

In: bytes or a folder, and the connectors that interpret templates. Out: `Template`. Errors: ``TemplateError`` with
file, line and column; ``IncompatibleTemplate`` where it was written for another version of the format or of its
connector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Self

from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, ValidationError

from integrations.connectors import config_check
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import URL
from integrations.connectors.versions import Version, VersionRange
from integrations.errors import IncompatibleTemplate, TemplateError, printable

from .schema import FORMAT, Loading, Template
from .source import MAX_BYTES, Block, Items, Text, plain, read
from .values import Compiler

BASE_URL = "base_url"
SUFFIXES = frozenset({".yaml", ".yml"})
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

_KEY = "[key]"  # pydantic's mark for "the key itself"
_PROBLEMS = {
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


class TemplateInterpreter(BaseConnector):
    """Base of the connectors that do what a template says; by itself it is no kind, and not offered to tenants."""

    template: ClassVar[Template]

    @classmethod
    def for_template(cls, template: Template) -> type[Self]:
        """Return the connector that `template` describes."""
        name = f"{template.manifest.key.title().replace('-', '').replace('_', '')}Template"
        members = {
            "__doc__": template.manifest.description,
            "manifest": template.manifest,
            "template": template,
            "faults": tuple(replace(rule.fault, code=str(rule.when)) for rule in template.errors),
        }
        return type(name, (cls,), {"__module__": cls.__module__, **members})


def templates_in(folder: Path, connectors: Mapping[str, str]) -> Iterator[Template | TemplateError]:
    """Yield a `Template`, or what is wrong with it, for each file (``*.yaml``, ``*.yml``) by name.

    One broken file takes none of the others down. For a folder that cannot be read there is one error.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError as error:
        yield TemplateError(f"the folder cannot be read ({error.strerror}); see TEMPLATE_DIRS", file=str(folder))
        return
    for path in files:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            yield load(data, str(path), connectors)
        except OSError as error:
            yield TemplateError(f"the file cannot be read ({error.strerror})", file=str(path))
        except TemplateError as problem:
            yield problem


def load(data: bytes, file: str, connectors: Mapping[str, str]) -> Template:
    """Return the template in `data`.

    Args:
        file: its name, for messages.
        connectors: {key: version} of the connectors that interpret templates.
    """
    tree, compiler = read(data, file), Compiler(file)
    _check_format(tree, compiler)
    template = _template(tree, compiler)
    _check_binding(template, tree, compiler, connectors)
    _check_manifest(template, tree, compiler)
    return template


def _check_format(tree: Block, compiler: Compiler) -> None:
    version = tree.get("version")
    if version is None:
        raise compiler.error(f"version is missing; add 'version: {FORMAT}'", tree)
    if version != str(FORMAT):
        raise _incompatible(f"the format version must be {FORMAT}; this installation reads no other", version, compiler)


def _incompatible(problem: str, at: Any, compiler: Compiler) -> IncompatibleTemplate:
    line, column = getattr(at, "line", 0), getattr(at, "column", 0)
    return IncompatibleTemplate(problem, file=compiler.file, line=line, column=column)


def _template(tree: Block, compiler: Compiler) -> Template:
    raw, line = dict(tree), 0
    if isinstance(manifest := raw.get("manifest"), Block):
        blocks = {"deliver": "deliver", "check": "check", "read": "actions"}
        does = [ability for ability, block in blocks.items() if block in tree]
        raw["manifest"] = _with_typed_defaults(manifest, does)
        line = getattr(manifest.get("key"), "line", 0)
    try:
        return Template.model_validate(raw, context=Loading(compiler, (compiler.file, line)))
    except ValidationError as error:
        problem = explain(error, tree, compiler.file, Template)
    raise problem


def _check_binding(template: Template, tree: Block, compiler: Compiler, connectors: Mapping[str, str]) -> None:
    key, wanted = template.connector, template.connector_version
    if key not in connectors:
        known = ", ".join(sorted(connectors))
        raise compiler.error(f"connector {key[:50]!r} interprets no templates; there are: {known}", tree["connector"])
    if Version.parse(connectors[key]) not in VersionRange(wanted):
        problem = f"it is written for version {wanted} of connector {key}; this is {connectors[key]}"
        raise _incompatible(problem, tree["connector_version"], compiler)


def _check_manifest(template: Template, tree: Block, compiler: Compiler) -> None:
    manifest, raw = template.manifest, tree["manifest"]
    if not {URL, BASE_URL} & {field.name for field in manifest.fields}:
        raise compiler.error(f"manifest.fields has no address; add a field named {URL} or {BASE_URL}", raw)
    try:
        problems = config_check.check(manifest, manifest.defaults())[1]
    except ImproperlyConfigured:  # the list of allowed addresses; `manage.py check` says what is wrong with it
        problems = {}
    for field, at in zip(manifest.fields, raw["fields"], strict=True):
        if field.default is not None and field.name in problems:
            raise compiler.error(f"the default of {field.name}: {problems[field.name]}", at)
    for ability in ("deliver", "check"):
        if (ability in manifest.does) != (ability in tree):
            raise compiler.error(f"manifest.does and the block {ability!r} must agree; leave out 'does'", raw)
    if manifest.oauth is not None and template.auth is not None:
        raise compiler.error("manifest.oauth and auth are two ways to authenticate; remove one", tree["auth"])


def _with_typed_defaults(manifest: Block, does: list[str]) -> dict[str, Any]:
    """What pydantic cannot know: the default of a field is of the field's kind, and `does` follows from the blocks."""
    raw: dict[str, Any] = {"does": does, **manifest}
    if isinstance(fields := manifest.get("fields"), Items):
        raw["fields"] = [
            {**field, "default": _typed(field.get("kind"), field["default"])}
            if isinstance(field, Block) and "default" in field
            else field
            for field in fields
        ]
    return raw


def _typed(kind: Any, default: Any) -> Any:
    if kind == "boolean" and isinstance(default, Text):
        return _BOOLEANS.get(default.lower(), str(default))
    if kind == "lines" and isinstance(default, Items):
        return [str(line) for line in default]
    if isinstance(default, Text) and kind not in ("integer", "json"):
        return str(default)
    return plain(default)


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
        words = _PROBLEMS.get(problem["type"], problem["msg"])
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
