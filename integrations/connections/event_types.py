"""The event types that exist: what can be subscribed to, and what their payloads look like.

Trigger handlers (capture/) register theirs when Django starts; everybody else reads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.utils.translation import gettext as _

from integrations.connectors.manifest import Manifest
from integrations.connectors.summary import SummaryFormat

from .payload_shapes import ANY_OBJECT, Shape, shape_of, union
from .payload_versions import Older, Versions, as_example

logger = logging.getLogger("integrations.connections")

_ONE_VERSION = Versions()


@dataclass(slots=True)
class _Known:
    """What was registered of one event type.

    Attributes:
        shape: of the newest payload, or how to learn it; None: unknown.
        older_shapes: of older versions, learnt when somebody asks.
    """

    label: str
    is_on_request: bool
    when: str
    summary: SummaryFormat | None
    samples: Callable[[], Sequence[Mapping[str, Any]]] | None
    shape: Shape | Callable[[], Shape] | None
    versions: Versions
    older_shapes: dict[int, Shape] = field(default_factory=dict)


_known: dict[str, _Known] = {}


def register(
    event_type: str,
    label: str,
    *,
    example: Mapping[str, Any] | None = None,
    shape: Callable[[], Shape] | None = None,
    summary: SummaryFormat | None = None,
    samples: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
    on_request: bool = False,
    when: str = "",
    version: int = 1,
    older: Mapping[int, Older] | None = None,
    older_shape: Callable[[int], Shape] | None = None,
) -> None:
    """Make `event_type` known, with the `label` that people see.

    Args:
        example: a payload as `publish` gets it; conditions that name something else are then refused when they are
            saved. An empty object or list in it may hold anything.
        shape: how to learn the same, asked when somebody saves the first condition.
        summary: how its events read where people read them; None: as any event does (connectors/summary.py).
        samples: makes payloads like `example`, for people who try a condition before anything has happened.
        on_request: it is recorded only when somebody asks for it (a backfill): nobody can subscribe to it, and no note
            on the object tells that it arrived.
        when: a sentence for the catalogue: when it happens.
        version: of the payload as `publish` gets it (payload_versions.py).
        older: version → how it is made of the next newer one, for subscriptions that have it.
        older_shape: how to learn the shape of an older version; None: from `samples` and `example`.

    Raises:
        TypeError: the versions leave a gap.
    """
    versions = Versions(version, dict(older or {}), older_shape)
    if problem := versions.problem():
        raise TypeError(f"{event_type}: {problem}.")
    if example is not None:
        samples = samples or (lambda: [example])
        shape = shape or partial(shape_of, example)
    _known[event_type] = _Known(label, on_request, when, summary, samples, shape, versions)


def when(event_type: str) -> str:
    """Say when events of this type happen, "" if that is not known."""
    known = _known.get(event_type)
    return _(known.when) if known is not None else ""


def summary_format(event_type: str) -> SummaryFormat | None:
    """Return how events of this type read, None: like any event."""
    known = _known.get(event_type)
    return known.summary if known is not None else None


def summary_formats() -> dict[str, SummaryFormat]:
    """Return {event type: how its events read} of those that have a format of their own."""
    return {name: known.summary for name, known in _known.items() if known.summary is not None}


def samples(event_type: str, version: int | None = None) -> list[Mapping[str, Any]]:
    """Return made-up payloads, as `publish` gets them; [] where none can be made. Values of any type.

    Args:
        version: of the payload; None: the newest.
    """
    known = _known.get(event_type)
    if known is None or known.samples is None:
        return []
    versions = known.versions
    try:
        found = list(known.samples())
        return found if versions.is_newest(version) else [versions.made(as_example(each), version) for each in found]
    except Exception:  # a host's payload() that takes no example
        logger.info("there are no samples of %s: its payload takes no example", event_type)
        return []


def _versions(event_type: str) -> Versions:
    known = _known.get(event_type)
    return known.versions if known is not None else _ONE_VERSION


def newest_version(event_type: str) -> int:
    """Return the version of the payload that `publish` gets."""
    return _versions(event_type).newest


def versions(event_type: str) -> list[int]:
    """Return the versions of the payload that can be sent, the oldest first."""
    return _versions(event_type).known


def nearest_version(event_type: str, wanted: int) -> int:
    """Return the version that a subscription with `wanted` gets: that one, or the next newer one that is still made."""
    return _versions(event_type).nearest(wanted)


def in_version(event_type: str, body: Mapping[str, Any], version: int, *, of: int | None = None) -> dict[str, Any]:
    """Return a body as that version of the payload has it; its frame (event type, time, tenant) stays.

    Args:
        body: in JSON's own types; it is not changed.
        of: the version that `body` has; None: the newest. What is older than `version` already is returned as it is.

    Raises:
        Exception: whatever a host's function raises.
    """
    return _versions(event_type).made(body, version, of=of)


def choices() -> list[tuple[str, str]]:
    """Return ``[(event_type, label), …]`` in the order of registration, as Django's choices."""
    return [(name, _(known.label)) for name, known in _known.items() if not known.is_on_request]


def on_request() -> list[tuple[str, str]]:
    """Return ``[(event_type, label), …]`` of those that nobody subscribes to."""
    return [(name, _(known.label)) for name, known in _known.items() if known.is_on_request]


def is_on_request(event_type: str) -> bool:
    """Tell whether `event_type` is recorded only when somebody asks for it."""
    known = _known.get(event_type)
    return known is not None and known.is_on_request


def recorded() -> list[tuple[str, str]]:
    """Return `choices` and those that are recorded on request: what a list of events can be filtered by."""
    return [*choices(), *on_request()]


def offered_to(manifest: Manifest) -> list[tuple[str, str]]:
    """Return those of `choices` that this kind of system can take.

    One that takes orders and no other events is offered those whose payload may hold an order.
    """
    if "deliver" in manifest.does:
        return choices()
    return [each for each in choices() if _may_be_order(each[0])] if "export" in manifest.does else []


def refusal(event_type: str, manifest: Manifest) -> str:
    """Say why a known event type is not offered to this kind of system."""
    what = _("takes orders, and its payload holds none") if "export" in manifest.does else _("takes no events")
    return _("{event_type} cannot be sent there: {label} {what}").format(
        event_type=event_type, label=manifest.label, what=what
    )


def _may_be_order(event_type: str) -> bool:
    shape = payload_shape(event_type)
    return shape.is_open or not shape.fields.keys().isdisjoint(("order", "lines"))


def payload_shape(event_type: str, version: int | None = None) -> Shape:
    """Return what the body of `event_type` may hold; an open object where that is not known.

    Args:
        version: of the payload; None: the newest.
    """
    known = _known.get(event_type)
    if known is None:
        return _framed(event_type, ANY_OBJECT)
    if not known.versions.is_newest(version):
        return _framed(event_type, _older_shape(event_type, known, version or 1))
    if known.shape is not None and not isinstance(known.shape, Shape):
        try:
            known.shape = known.shape()
        except Exception:  # a host's payload() that takes no example
            logger.info("conditions on %s are not compared with its payload: it takes no example", event_type)
            return _framed(event_type, ANY_OBJECT)
    return _framed(event_type, known.shape or ANY_OBJECT)


def _older_shape(event_type: str, known: _Known, version: int) -> Shape:
    if version not in known.older_shapes:
        learn = known.versions.shape
        try:
            found = learn(version) if learn else union(map(shape_of, samples(event_type, version)))
        except Exception:  # a host's payload() that takes no example
            found = None
        known.older_shapes[version] = ANY_OBJECT if found is None else found
    return known.older_shapes[version]


def _framed(event_type: str, found: Shape) -> Shape:
    frame = {"event_type": event_type, "timestamp": "", "tenant": {"id": 1, "name": ""}}
    cut = {"truncated": shape_of([""]) | shape_of(None)}  # named where the payload was too large
    fields = {**shape_of(frame).fields, **found.fields, **cut}
    body = Shape(found.kinds, fields, is_open=found.is_open)
    return body.with_values(("event_type",), frozenset({event_type})) if event_type else body
