"""The shape of a template file: which keys there are, and of which type (docs/templates.md).

The types decide what a scalar is: ``version: 1`` a number, ``label: 010`` a text. What may hold ``${…}`` is kept as the
tree has it, with its line, and compiled by load.py, when the names are known.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic import Field as _Field

from integrations.connectors.manifest import Manifest
from integrations.connectors.versions import VersionRange

from .source import Block, Items, Text

ErrorKind = Literal["auth", "rate_limited", "setup", "quota", "temporary", "permanent", "gone"]
ParamKind = Literal["text", "integer", "number", "boolean", "list", "object", "any"]


def _is_text(value: Any) -> Any:
    if not isinstance(value, Text):
        raise ValueError("must be text")
    return value


def _is_block(value: Any) -> Any:
    if not isinstance(value, Block):
        raise ValueError("must be a mapping (key: value)")
    return value


def _is_range(value: str) -> str:
    VersionRange(value)
    return value


def _is_status(value: str) -> str:
    if not (len(value) == 3 and value[0] in "2345" and (value[1:] == "xx" or (value.isascii() and value.isdigit()))):
        raise ValueError("must be a status such as 404, or a class such as 4xx")
    return value


def _as_items(value: Any) -> Any:
    return value if isinstance(value, Items | tuple) else (value,)


def _as_returns(value: Any) -> Any:
    return {"value": value} if isinstance(value, Text) else value


Templated = Annotated[Any, AfterValidator(_is_text)]  # a text that may hold ${…}
TemplatedBlock = Annotated[Any, AfterValidator(_is_block)]
Name = Annotated[str, _Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Status = Annotated[str, AfterValidator(_is_status)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class When(_Shape):
    """An answer with one of these statuses, on which the condition holds."""

    status: Annotated[tuple[Status, ...], BeforeValidator(_as_items)] = ()
    condition: Templated = None

    @model_validator(mode="after")
    def _says_something(self) -> When:
        if not self.status and self.condition is None:
            raise ValueError("needs a status, a condition, or both")
        return self


class ErrorRule(_Shape):
    """What an answer means that is no success."""

    when: When
    kind: ErrorKind
    message: str = _Field(min_length=1, max_length=300)
    code: str = _Field(default="", pattern=r"^([a-z][a-z0-9_]{0,49})?$")
    retry_after: Templated = None
    reason: Templated = None


class CallShape(_Shape):
    """One HTTP call."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Templated
    query: TemplatedBlock = None
    headers: TemplatedBlock = None
    body: Any = _Field(default=None, alias="json")
    success: Annotated[tuple[When, ...], BeforeValidator(_as_items)] = ()

    @model_validator(mode="after")
    def _fits(self) -> CallShape:
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET has no json; use query")
        return self


class DeliverShape(CallShape):
    """How an event is sent."""

    idempotency_header: str = ""
    external_id: Templated = None
    location: Templated = None


class CheckShape(CallShape):
    """A call that proves the credentials and changes nothing."""

    message: Templated = None


class Param(_Shape):
    """One parameter of an action."""

    kind: ParamKind = "text"
    required: bool = False
    default: Any = None
    help: str = ""


class PagesShape(_Shape):
    """Where the next page is: a cursor that the call uses as ``page.cursor``, or a whole link."""

    cursor: Templated = None
    link: Templated = None
    more: Templated = None
    max: int = _Field(default=50, ge=1, le=1000)

    @model_validator(mode="after")
    def _one(self) -> PagesShape:
        if (self.cursor is None) == (self.link is None):
            raise ValueError("needs either a cursor or a link")
        return self


class ReturnsShape(_Shape):
    """What an action gives back; `whole` is a condition that holds for an answer that is all of it."""

    value: Templated
    whole: Templated = None
    reason: Templated = None


class ActionShape(CallShape):
    """A named call with declared parameters."""

    description: str = ""
    params: dict[Name, Param] = {}
    returns: Annotated[ReturnsShape | None, BeforeValidator(_as_returns)] = None
    pages: PagesShape | None = None


class BasicShape(_Shape):
    username: Templated
    password: Templated


class AuthShape(_Shape):
    """How requests authenticate; one of the three."""

    bearer: Templated = None
    basic: BasicShape | None = None
    header: TemplatedBlock = None

    @model_validator(mode="after")
    def _one(self) -> AuthShape:
        if sum(each is not None for each in (self.bearer, self.basic, self.header)) != 1:
            raise ValueError("needs one of bearer, basic and header")
        if self.header is not None and len(self.header) != 1:
            raise ValueError("header has one entry: the name, and ${secret.…}")
        return self


class TemplateShape(_Shape):
    """The whole file."""

    version: int
    connector: str
    connector_version: Annotated[str, AfterValidator(_is_range)]
    manifest: Manifest
    auth: AuthShape | None = None
    headers: TemplatedBlock = None
    deliver: DeliverShape | None = None
    check: Annotated[tuple[CheckShape, ...], BeforeValidator(_as_items)] = ()
    actions: dict[Name, ActionShape] = {}
    errors: tuple[ErrorRule, ...] = ()
