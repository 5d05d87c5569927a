"""Template files, read, checked and compiled: everything wrong with one is found here, before it is used.

In: bytes or a folder, and the connectors that interpret templates. Out: `Template`. Errors: ``TemplateError`` with
file, line and column; ``IncompatibleTemplate`` where it was written for another version of the format or of its
connector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from pydantic import ValidationError

from integrations.connectors import config_check
from integrations.connectors.manifest import URL
from integrations.connectors.versions import Version, VersionRange
from integrations.errors import IncompatibleTemplate, TemplateError

from .schema import FORMAT, Loading, Template
from .source import MAX_BYTES, Block, Items, Text, plain, read
from .values import Compiler
from .words import explain

BASE_URL = "base_url"
SUFFIXES = frozenset({".yaml", ".yml"})
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


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
