"""A template as it is used: every expression compiled, every name checked. Made by load.py, run by kinds/rest.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from integrations.connectors.manifest import Manifest

from .answers import Rule
from .call import Call
from .expression import Expression
from .schema import Param
from .values import Value


@dataclass(frozen=True, slots=True)
class Auth:
    """How requests authenticate.

    Attributes:
        scheme: ``bearer``, ``basic`` or ``header``.
        secret: the token, the password, or the value of the header.
        username: of ``basic``. header: the name, of ``header``.
    """

    scheme: str
    secret: Value
    username: Value | None = None
    header: str = ""


@dataclass(frozen=True, slots=True)
class Deliver:
    """How an event is sent, and what of the answer goes into the receipt."""

    call: Call
    idempotency_header: str
    external_id: Value | None
    location: Value | None


@dataclass(frozen=True, slots=True)
class Check:
    """One call of the check, and the sentence for people after it."""

    call: Call
    message: Value | None


@dataclass(frozen=True, slots=True)
class Returns:
    """What of an answer is given back; `whole` tells whether it is all there, `reason` why it is not."""

    value: Value
    whole: Expression | None
    reason: Value | None


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the next page is: a cursor, or a link; `more` tells whether there is one; `max` pages at most."""

    following: Value
    more: Expression | None
    is_link: bool
    max: int


@dataclass(frozen=True, slots=True)
class Action:
    """A named call with declared parameters; `returns` None: the whole answer."""

    call: Call
    description: str
    params: Mapping[str, Param]
    returns: Returns | None
    pages: Pages | None


@dataclass(frozen=True, slots=True)
class Template:
    """A connector without code.

    Attributes:
        line: where its key stands.
        connector: the key of the Python connector that interprets it.
    """

    file: str
    line: int
    connector: str
    manifest: Manifest
    auth: Auth | None
    headers: tuple[tuple[str, Value], ...]
    deliver: Deliver | None
    checks: tuple[Check, ...]
    actions: Mapping[str, Action]
    rules: tuple[Rule, ...]
