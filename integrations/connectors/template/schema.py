"""The blocks of a template file (docs/templates.md), as pydantic reads them: which keys there are, of which type.

A key's type says what it becomes: a text, a number, or a `Value`, compiled on the spot over the names of its place. The
context of the validation is a `Loading`, which knows the file and the names that may stand where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic import Field as _Field

from integrations.connectors.manifest import Manifest
from integrations.connectors.versions import VersionRange
from integrations.errors import ConfigurationError, IntegrationError
from integrations.faults import Fault
from integrations.transport.classify import retry_after_of
from integrations.transport.response import Response

from .call import (
    Headers,
    Path,
    Request,
    check_header,
    compile_header,
    compile_headers,
    compile_path,
    reason_in,
    render_headers,
    render_query,
    seconds_in,
)
from .source import Block, Items, Text, plain
from .values import EVENT, RESPONSE, SUMMARY, Compiler, Expression, Names, Scope, Value

FORMAT = 1
ErrorKind = Literal["auth", "rate_limited", "setup", "quota", "temporary", "permanent", "gone"]
_ANSWER = Names({"response": RESPONSE})


class Loading:
    """Where the validation is: the file, and the names that may stand there; none before the manifest is read."""

    def __init__(self, compiler: Compiler, place: tuple[str, int]) -> None:
        self.compiler = compiler
        self.place = place
        self.names: Names | None = None

    @contextmanager
    def within(self, **roots: Iterable[str] | None) -> Iterator[None]:
        before = self.names
        self.names = before and before.plus(**roots)
        try:
            yield
        finally:
            self.names = before


def _loading(info: ValidationInfo) -> Loading:
    loading: Loading = info.context  # type: ignore[assignment]
    return loading


# -- types of keys ----------------------------------------------------------------------------------------


_SHAPES: dict[type, str] = {Text: "must be text", Block: "must be a mapping (key: value)"}


def _compiled(
    compile_it: Callable[[Any, Names, Compiler], Any], shape: type = Text, *, also: str = "", only: Names | None = None
) -> Any:
    """Return the type of what is compiled on the spot.

    Args:
        compile_it: gets the part of the tree, the names of its place, and the compiler.
        shape: what the part must be.
        also: a further name there: ``response`` or ``secret``.
        only: the names instead of those of the place.
    """

    def compiled(raw: Any, info: ValidationInfo) -> Any:
        if not isinstance(raw, shape):
            raise ValueError(_SHAPES[shape])
        loading = _loading(info)
        if loading.names is None:
            return None  # the manifest is wrong; that is said first
        names = only or loading.names
        if also:
            names = names.plus(**{also: RESPONSE if also == "response" else names.secrets})
        return compile_it(raw, names, loading.compiler)

    return PlainValidator(compiled)


def _text(raw: Text, names: Names, compiler: Compiler) -> Value:
    return compiler.text(raw, names)


def _json(raw: Any, names: Names, compiler: Compiler) -> Value:
    return compiler.json(raw, names)


def _condition(raw: Text, names: Names, compiler: Compiler) -> Expression:
    if "${" in raw:
        raise compiler.error("a condition is an expression already; write it without '${' and '}'", raw)
    return compiler.expression(raw, names, raw)


def _header(raw: Block, names: Names, compiler: Compiler) -> Headers:
    found = compile_headers(raw, names, compiler)
    if len(found) != 1:
        raise ValueError("header has one entry: the name, and ${secret.…}")
    return found


def _header_name(raw: Text, names: Names, compiler: Compiler) -> str:
    check_header(raw, "", raw, compiler)
    return str(raw)


def _is_range(value: str) -> str:
    VersionRange(value)
    return value


def _is_status(value: str) -> str:
    if not (len(value) == 3 and value[0] in "2345" and (value[1:] == "xx" or (value.isascii() and value.isdigit()))):
        raise ValueError("must be a status such as 404, or a class such as 4xx")
    return value


OfAnswer = Annotated[Any, _compiled(_text, also="response")]
OnlyAnswer = Annotated[Any, _compiled(_text, only=_ANSWER)]
WithSecret = Annotated[Any, _compiled(_text, also="secret")]
Bearer = Annotated[Any, _compiled(partial(compile_header, "bearer"), also="secret")]
Condition = Annotated[Any, _compiled(_condition, also="response")]
AnswerCondition = Annotated[Any, _compiled(_condition, only=_ANSWER)]
Json = Annotated[Any, _compiled(_json, object)]
Query = Annotated[Any, _compiled(_json, Block)]
HeaderBlock = Annotated[Any, _compiled(compile_headers, Block, also="secret")]
_AsItems = BeforeValidator(lambda value: value if isinstance(value, Items | tuple) else (value,))
Name = Annotated[str, _Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Status = Annotated[str, AfterValidator(_is_status)]


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


# -- answers ----------------------------------------------------------------------------------------------


class When(_Block):
    """An answer with one of these statuses (all, if none is named), on which the condition holds."""

    status: Annotated[tuple[Status, ...], _AsItems] = ()
    condition: AnswerCondition = None

    @model_validator(mode="after")
    def _says_something(self) -> When:
        if not self.status and self.condition is None:
            raise ValueError("needs a status, a condition, or both")
        return self

    def __str__(self) -> str:
        condition = " ".join(self.condition.text.split()) if self.condition is not None else ""
        return " ".join(filter(None, (" or ".join(self.status), condition)))

    def covers(self, status: int) -> bool:
        return not self.status or not {str(status), f"{status // 100}xx"}.isdisjoint(self.status)

    def holds(self, scope: Scope) -> bool:
        return self.condition is None or bool(self.condition.holds(scope))


class Rule(_Block):
    """What an answer means that is no success."""

    when: When
    kind: ErrorKind
    message: str = _Field(min_length=1, max_length=300)
    code: str = _Field(default="", pattern=r"^([a-z][a-z0-9_]{0,49})?$")
    retry_after: OnlyAnswer = None
    reason: OnlyAnswer = None

    @model_validator(mode="after")
    def _is_fixed(self) -> Rule:
        if "${" in self.message:
            raise ValueError("a message is fixed text, so that no answer can speak in our name")
        return self

    @property
    def fault(self) -> Fault:
        return Fault(self.code, "event" if self.kind == "permanent" else self.kind, self.message)

    def error(
        self, response: Response, scope: Scope, host: str, excerpt: str, secrets: Iterable[str] = ()
    ) -> IntegrationError:
        """Return the error for an answer that fits."""
        own = seconds_in(self.retry_after, scope)
        return self.fault.error(
            host,
            retry_after=retry_after_of(response) if own is None else own,
            code=self.code or None,
            status=response.status,
            excerpt=excerpt,
            said=reason_in(self.reason, scope, secrets),
        )


# -- calls ------------------------------------------------------------------------------------------------


class Call(_Block):
    """One HTTP call."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[Any, _compiled(compile_path)]
    query: Query = None
    headers: HeaderBlock = ()
    body: Json = _Field(default=None, alias="json")
    success: Annotated[tuple[When, ...], _AsItems] = ()

    @model_validator(mode="after")
    def _fits(self) -> Call:
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET has no json; use query")
        return self

    def request(self, scope: Scope, secret: Scope) -> Request:
        """Return the request for `scope`; `secret` is the same with the secrets, for headers alone."""
        path: Path = self.path
        return Request(
            path=path.render(scope),
            query=render_query(self.query, scope),
            headers=render_headers(self.headers, secret),
            body=self.body.render(scope) if self.body is not None else None,
        )


class Deliver(Call):
    """How an event is sent, and what of the answer goes into the receipt."""

    idempotency_header: Annotated[Any, _compiled(_header_name)] = ""
    external_id: OfAnswer = None
    location: OfAnswer = None

    @model_validator(mode="wrap")
    @classmethod
    def _about_an_event(cls, raw: Any, handler: Any, info: ValidationInfo) -> Any:
        with _loading(info).within(event=EVENT, payload=None, summary=SUMMARY, object=None):
            return handler(raw)


class Check(Call):
    """A call that proves the credentials and changes nothing, and the sentence for people after it."""

    message: OfAnswer = None


PARAM_TYPES: Mapping[str, tuple[Any, str]] = {
    "text": (str, "text"),
    "integer": (int, "a whole number"),
    "number": (int | float, "a number"),
    "boolean": (bool, "true or false"),
    "list": (list | tuple, "a list"),
    "object": (dict, "an object"),
    "any": (Any, "anything"),
}
_FITS = {kind: TypeAdapter(wanted, config=ConfigDict(strict=True)) for kind, (wanted, _) in PARAM_TYPES.items()}


class Param(_Block):
    """One parameter of an action, checked at every call."""

    kind: Literal["text", "integer", "number", "boolean", "list", "object", "any"] = "text"
    required: bool = False
    default: Any = None
    help: str = ""

    @field_validator("default")
    @classmethod
    def _is_typed(cls, raw: Any, info: ValidationInfo) -> Any:
        kind = info.data.get("kind", "any")
        value = str(raw) if kind == "text" and isinstance(raw, Text) else plain(raw)
        if not _fits(kind, value):
            raise ValueError(f"is no {kind}")
        return value

    def problem_of(self, value: Any) -> str:
        """Say what is wrong with `value`, "" if nothing is."""
        if value is None:
            return "missing; it is required" if self.required else ""
        return "" if _fits(self.kind, value) else f"must be {PARAM_TYPES[self.kind][1]}"


def _fits(kind: str, value: Any) -> bool:
    try:
        _FITS[kind].validate_python(value)
    except ValidationError:
        return False
    return True


class Pages(_Block):
    """Where the next page is: a cursor that the call uses as ``page.cursor``, or a whole link; `max` pages at most."""

    cursor: OfAnswer = None
    link: OfAnswer = None
    more: Condition = None
    max: int = _Field(default=50, ge=1, le=1000)

    @model_validator(mode="after")
    def _one(self) -> Pages:
        if (self.cursor is None) == (self.link is None):
            raise ValueError("needs either a cursor or a link")
        return self

    @property
    def following(self) -> Value:
        found: Value = self.cursor or self.link
        return found


class Returns(_Block):
    """What an action gives back; `whole` holds for an answer that is all of it, `reason` says why it is not."""

    value: OfAnswer
    whole: Condition = None
    reason: OfAnswer = None


class Action(Call):
    """A named call with declared parameters; `returns` None: the whole answer."""

    description: str = ""
    params: dict[Name, Param] = {}
    returns: Annotated[
        Returns | None, BeforeValidator(lambda raw: {"value": raw} if isinstance(raw, Text) else raw)
    ] = None
    pages: Pages | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_params(cls, raw: Any, handler: Any, info: ValidationInfo) -> Any:
        block = raw if isinstance(raw, Block) else Block()
        params, pages = block.get("params"), block.get("pages")
        roots: dict[str, Iterable[str]] = {"param": map(str, params) if isinstance(params, Block) else ()}
        if isinstance(pages, Block) and "cursor" in pages:
            roots["page"] = ("cursor",)
        with _loading(info).within(**roots):
            return handler(raw)

    def checked(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for every declared parameter of the action `name`; what has none is null.

        Raises:
            ConfigurationError: names what is missing, unknown or of the wrong type; never a value.
        """
        known = ", ".join(self.params) or "none"
        problems = {each: f"unknown; {name} has the parameters: {known}" for each in given if each not in self.params}
        values = {
            each: param.default if given.get(each) is None else given[each] for each, param in self.params.items()
        }
        wrong = {each: param.problem_of(values[each]) for each, param in self.params.items()}
        if problems := problems | {each: problem for each, problem in wrong.items() if problem}:
            raise ConfigurationError(problems)
        return values


# -- the file ---------------------------------------------------------------------------------------------


class Basic(_Block):
    username: WithSecret
    password: WithSecret


class AuthBlock(_Block):
    """How requests authenticate; one of the three."""

    bearer: Bearer = None
    basic: Basic | None = None
    header: Annotated[Any, _compiled(_header, Block, also="secret")] = None

    @model_validator(mode="after")
    def _one(self) -> AuthBlock:
        if sum(each is not None for each in (self.bearer, self.basic, self.header)) != 1:
            raise ValueError("needs one of bearer, basic and header")
        return self


class Template(_Block):
    """A connector without code: the whole file, every expression compiled, every name checked."""

    version: int
    connector: str
    connector_version: Annotated[str, AfterValidator(_is_range)]
    manifest: Manifest
    auth: AuthBlock | None = None
    headers: HeaderBlock = ()
    deliver: Deliver | None = None
    check: Annotated[tuple[Check, ...], _AsItems] = ()
    actions: dict[Name, Action] = {}
    errors: tuple[Rule, ...] = ()
    _place: tuple[str, int] = PrivateAttr(default=("", 0))

    @property
    def file(self) -> str:
        return self._place[0]

    @property
    def line(self) -> int:
        """The line in which its key stands."""
        return self._place[1]

    def model_post_init(self, context: Any) -> None:
        self._place = context.place

    @field_validator("manifest")
    @classmethod
    def _declares_names(cls, manifest: Manifest, info: ValidationInfo) -> Manifest:
        _loading(info).names = Names.of(manifest)
        return manifest
