"""A template file, read, checked and compiled: everything wrong with it is found here, before it is used.

In: bytes, and the connectors that interpret templates. Out: `Template`. Errors: ``TemplateError`` with file, line and
column; ``IncompatibleTemplate`` where it was written for another version of the format or of its connector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from pydantic import ValidationError

from integrations.connectors import config_check
from integrations.connectors.manifest import URL
from integrations.connectors.versions import Version, VersionRange
from integrations.errors import IncompatibleTemplate

from .answers import compile_condition, compile_rule
from .call import check_name, check_value, compile_call, compile_headers
from .compiled import Action, Auth, Check, Deliver, Pages, Returns, Template
from .expression import Expression
from .params import default_of, fits, plain
from .schema import ActionShape, AuthShape, CheckShape, DeliverShape, PagesShape, ReturnsShape, TemplateShape
from .scope import EVENT, RESPONSE, SUMMARY, Names
from .source import Block, Items, Text, read
from .values import Compiler, Value
from .words import explain

FORMAT = 1
BASE_URL = "base_url"
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def load(data: bytes, file: str, connectors: Mapping[str, str]) -> Template:
    """Return the template in `data`.

    Args:
        file: its name, for messages.
        connectors: {key: version} of the connectors that interpret templates.
    """
    return _Loader(data, file, connectors).template()


class _Loader:
    """One file on its way to a template."""

    def __init__(self, data: bytes, file: str, connectors: Mapping[str, str]) -> None:
        self.tree = read(data, file)
        self.compiler = Compiler(file)
        self.error = self.compiler.error
        self._check_format()
        self.shape = self._shape()
        self._check_binding(connectors)
        self._check_manifest()

    def template(self) -> Template:
        shape, names, compiler = self.shape, Names.of(self.shape.manifest), self.compiler
        return Template(
            file=compiler.file,
            line=self.tree["manifest"]["key"].line,
            connector=shape.connector,
            manifest=shape.manifest,
            auth=self._auth(shape.auth, names.with_secrets()) if shape.auth else None,
            headers=compile_headers(shape.headers, names.with_secrets(), compiler),
            deliver=self._deliver(shape.deliver, names) if shape.deliver else None,
            checks=tuple(self._check(each, names) for each in shape.check),
            actions={name: self._action(name, each, names) for name, each in shape.actions.items()},
            rules=tuple(
                compile_rule(rule, compiler, raw)
                for rule, raw in zip(shape.errors, self.tree.get("errors", ()), strict=True)
            ),
        )

    # -- the file as a whole ------------------------------------------------------------------------------

    def _check_format(self) -> None:
        version = self.tree.get("version")
        if version is None:
            raise self.error(f"version is missing; add 'version: {FORMAT}'", self.tree)
        if version != str(FORMAT):
            raise self._incompatible(
                f"the format version must be {FORMAT}; this installation reads no other", "version"
            )

    def _incompatible(self, problem: str, key: str) -> IncompatibleTemplate:
        at = self.tree[key]
        return IncompatibleTemplate(problem, file=self.compiler.file, line=at.line, column=at.column)

    def _shape(self) -> TemplateShape:
        raw = dict(self.tree)
        if isinstance(manifest := raw.get("manifest"), Block):
            raw["manifest"] = _with_typed_defaults(manifest, self._does())
        try:
            return TemplateShape.model_validate(raw)
        except ValidationError as error:
            problem = explain(error, self.tree, self.compiler.file, TemplateShape)
        raise problem

    def _does(self) -> list[str]:
        blocks = {"deliver": "deliver", "check": "check", "read": "actions"}
        return [ability for ability, block in blocks.items() if block in self.tree]

    def _check_binding(self, connectors: Mapping[str, str]) -> None:
        key, wanted = self.shape.connector, self.shape.connector_version
        if key not in connectors:
            known = ", ".join(sorted(connectors))
            raise self.error(
                f"connector {key[:50]!r} interprets no templates; there are: {known}", self.tree["connector"]
            )
        if Version.parse(connectors[key]) not in VersionRange(wanted):
            problem = f"it is written for version {wanted} of connector {key}; this is {connectors[key]}"
            raise self._incompatible(problem, "connector_version")

    def _check_manifest(self) -> None:
        manifest, raw = self.shape.manifest, self.tree["manifest"]
        if not {URL, BASE_URL} & {field.name for field in manifest.fields}:
            raise self.error(f"manifest.fields has no address; add a field named {URL} or {BASE_URL}", raw)
        try:
            problems = config_check.check(manifest, manifest.defaults())[1]
        except ImproperlyConfigured:  # the list of allowed addresses; `manage.py check` says what is wrong with it
            problems = {}
        for field, at in zip(manifest.fields, raw["fields"], strict=True):
            if field.default is not None and field.name in problems:
                raise self.error(f"the default of {field.name}: {problems[field.name]}", at)
        for ability in ("deliver", "check"):
            if (ability in manifest.does) != (ability in self.tree):
                raise self.error(f"manifest.does and the block {ability!r} must agree; leave out 'does'", raw)
        if manifest.oauth is not None and self.shape.auth is not None:
            raise self.error("manifest.oauth and auth are two ways to authenticate; remove one", self.tree["auth"])

    # -- its blocks ---------------------------------------------------------------------------------------

    def _auth(self, shape: AuthShape, names: Names) -> Auth:
        text = self.compiler.text
        if shape.bearer is not None:
            check_value("bearer", shape.bearer, names, self.compiler)
            return Auth("bearer", text(shape.bearer, names))
        if shape.basic is not None:
            return Auth("basic", text(shape.basic.password, names), text(shape.basic.username, names))
        ((name, value),) = shape.header.entries()
        check_name(name, self.compiler)
        if not isinstance(value, Text):
            raise self.error(f"the header {name} must be text", value)
        check_value(name, value, names, self.compiler)
        return Auth("header", text(value, names), header=str(name))

    def _deliver(self, shape: DeliverShape, names: Names) -> Deliver:
        names = names.plus(event=EVENT, payload=None, summary=SUMMARY, object=None)
        after = names.plus(response=RESPONSE)
        if shape.idempotency_header:
            check_name(Text.at(shape.idempotency_header, shape.path.line, shape.path.column), self.compiler)
        return Deliver(
            call=compile_call(shape, names, self.compiler),
            idempotency_header=shape.idempotency_header,
            external_id=self._text(shape.external_id, after),
            location=self._text(shape.location, after),
        )

    def _check(self, shape: CheckShape, names: Names) -> Check:
        after = names.plus(response=RESPONSE)
        return Check(compile_call(shape, names, self.compiler), self._text(shape.message, after))

    def _action(self, name: str, shape: ActionShape, names: Names) -> Action:
        for param_name, param in shape.params.items():
            if param.default is not None and not fits(param.kind, default_of(param)):
                at = self.tree["actions"][name]["params"][param_name]
                raise self.error(f"the default of {param_name} is no {param.kind}", at)
        names = names.plus(param=shape.params)
        if shape.pages is not None and shape.pages.cursor is not None:
            names = names.plus(page=("cursor",))
        after = names.plus(response=RESPONSE)
        return Action(
            call=compile_call(shape, names, self.compiler),
            description=shape.description,
            params=shape.params,
            returns=self._returns(shape.returns, after) if shape.returns is not None else None,
            pages=self._pages(shape.pages, after) if shape.pages is not None else None,
        )

    def _pages(self, shape: PagesShape, names: Names) -> Pages:
        is_link = shape.link is not None
        following = self.compiler.text(shape.link if is_link else shape.cursor, names)
        return Pages(following, self._condition(shape.more, names), is_link, shape.max)

    def _returns(self, shape: ReturnsShape, names: Names) -> Returns:
        whole = self._condition(shape.whole, names)
        return Returns(self.compiler.text(shape.value, names), whole, self._text(shape.reason, names))

    def _condition(self, text: Text | None, names: Names) -> Expression | None:
        return None if text is None else compile_condition(text, self.compiler, names)

    def _text(self, text: Text | None, names: Names) -> Value | None:
        return None if text is None else self.compiler.text(text, names)


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
