"""What a subscription sends in the place of the event's body: a JMESPath expression that makes an object of it.

    {text: join(' ', [workitem.title, workitem.status]), id: workitem.id}

It is frozen with the row when the event is recorded (IntegrationSync.payload) and evaluated at each attempt. The same
body and the same expression make the same bytes, so every attempt and every replay sends the same, whatever became of
the subscription since (docs/adr/0037). A worker runs it, no user waits, and it is bounded all the same: in parts, in
steps and in what it makes. What it builds is only ever sent, never looked at again, so no value doubles at each step.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from integrations import conf, expressions
from integrations.connectors import functions
from integrations.errors import IntegrationPermanentError

from . import condition_check
from .event_types import payload_shape

MAX_LENGTH = expressions.MAX_LENGTH  # characters
MAX_PARTS = 500
MAX_BUILDERS = 50
_BUILDERS = frozenset({"multi_select_dict", "multi_select_list"})
_NODES = expressions.BUILDS | _BUILDERS
_TAKES_BUILT = frozenset({"join", "not_null", "to_string"})  # they go through what was built once, and count
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


class PayloadFailed(IntegrationPermanentError):
    """The expression makes no payload of this event; nothing was sent, and nothing is known of the destination."""

    default_code = "payload"


def validate_payload(expression: str, event_type: str = "", version: int | None = None) -> None:
    """Raise ValidationError, saying what is wrong, when `expression` can never make a payload.

    Args:
        event_type: of whose body it is made; "": only what is wrong with any body is named.
        version: of that body's payload; None: the newest.
    """
    if not expression:
        return
    if not expression.replace("\n", "").replace("\t", "").isprintable():
        raise ValidationError(
            _("It contains a character that cannot be stored; write it with plain letters and signs.")
        )
    if problem := expressions.literal_problem(expression):
        raise ValidationError(problem)
    try:
        tree = _compiled(expression)
    except ValueError as error:
        hint = "" if "{" in expression else _("; write an object, such as {text: workitem.title}")
        raise ValidationError(
            _("Not a usable JMESPath expression: {error}{hint}").format(error=error, hint=hint)
        ) from None
    found, shape = condition_check.examine(expression, tree, payload_shape(event_type, version), may_be_fixed=True)
    if not found and shape.kinds and "object" not in shape.kinds:
        words = condition_check.kinds_in_words(shape)
        found = [_("It makes {words}, and a payload is an object: write {{name: …}} around it.").format(words=words)]
    if found:
        raise ValidationError(found)


def made_of(expression: str, body: Any) -> dict[str, Any]:
    """Return the payload that `expression` makes of a parsed `body`, in JSON's own types.

    Raises:
        PayloadFailed: it makes no object, or too much; in words, without a value of the body.
    """
    payload, problem = _made(expression, body)
    if isinstance(payload, dict):
        return payload
    problem = problem or _("it makes {kind} of this event, not an object").format(kind=_kind(payload))
    raise PayloadFailed(_("the payload of the subscription cannot be made: {problem}").format(problem=problem))


def _made(expression: str, body: Any) -> tuple[Any, str]:
    """Return (value, ""), or (None, why there is none)."""
    try:
        tree = _compiled(expression)
    except ValueError:  # it came another way than through a check, or from an older version
        return None, _("it is no JMESPath expression that may make one")
    try:
        found = expressions.Interpreter(functions.TextFunctions()).visit(tree, body)
        return functions.Budget().plain(found), ""
    except IntegrationPermanentError as error:
        return None, error.message
    except RecursionError:
        return None, _("it is nested too deeply")
    except Exception:  # JMESPath's own errors quote the value
        return None, _("a function got a value that it cannot take")


def bytes_of(expression: str, body: str) -> bytes:
    """Return what is sent where an event's `body` is shaped by `expression`; the same bytes each time.

    Raises:
        PayloadFailed: as `made_of`, or it is larger than a body may be.
    """
    text = text_of(made_of(expression, json.loads(body)))
    found = text.encode()
    if len(found) > conf.MAX_BODY_BYTES:
        size = _("{found} bytes, and a body has at most {max_body_bytes}").format(
            found=len(found), max_body_bytes=conf.MAX_BODY_BYTES
        )
        raise PayloadFailed(_("the payload of the subscription cannot be made: it has {size}").format(size=size))
    return found


def text_of(payload: dict[str, Any]) -> str:
    """Return a payload as it goes over the wire."""
    return _encoder.encode(payload)


@lru_cache(maxsize=512)
def _compiled(expression: str) -> Any:
    """Return the tree of `expression`.

    Raises:
        ValueError: it is not one that may make a payload.
    """
    compiled = expressions.compile_expression(
        expression,
        nodes=_NODES,
        functions=functions.FUNCTIONS,
        max_parts=MAX_PARTS,
        max_builders=MAX_BUILDERS,
    )
    tree = compiled.parsed
    for node in _looked_at(tree):
        if _builds(node):
            raise ValueError(_("what it builds with { } or [ ] is only sent; look at fields, and build around them"))
    return tree


def _looked_at(node: Any) -> Iterator[Any]:
    """Yield the parts whose value is not sent as it is, but looked at by another part."""
    kind, children = node["type"], node["children"]
    if kind in ("comparator", "not_expression", "flatten"):
        yield from children
    elif kind == "function_expression":
        yield from () if node["value"] in _TAKES_BUILT else children
    elif kind in ("subexpression", "pipe", "index_expression"):
        yield from children[:-1]
    elif kind in ("projection", "value_projection"):
        yield children[0]
    elif kind == "filter_projection":
        yield children[0]
        yield children[2]
    for child in children:
        if isinstance(child, dict):
            yield from _looked_at(child)


def _builds(node: Any) -> bool:
    return node["type"] in _BUILDERS or any(_builds(child) for child in node["children"] if isinstance(child, dict))


def _kind(value: Any) -> str:
    kinds = {"str": _("text"), "NoneType": _("nothing (null)"), "list": _("a list"), "bool": _("true or false")}
    return kinds.get(type(value).__name__, _("a number"))
