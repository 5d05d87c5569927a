"""The event types that exist: what can be subscribed to, and what their payloads look like.

Trigger handlers (capture/) register theirs when Django starts; everybody else reads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from integrations.connectors.manifest import Manifest
from integrations.connectors.summary import SummaryFormat

from .payload_shapes import ANY_OBJECT, Shape, shape_of

logger = logging.getLogger("integrations.connections")

_labels: dict[str, str] = {}
_on_request: dict[str, str] = {}  # the labels of those that nobody subscribes to
_when: dict[str, str] = {}
_shapes: dict[str, Shape | Callable[[], Shape]] = {}
_summaries: dict[str, SummaryFormat] = {}
_samples: dict[str, Callable[[], Sequence[Mapping[str, Any]]]] = {}


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
    """
    (_on_request if on_request else _labels)[event_type] = label
    _when[event_type] = when
    for known in (_shapes, _summaries, _samples):
        known.pop(event_type, None)
    if samples is not None:
        _samples[event_type] = samples
    elif example is not None:
        _samples[event_type] = lambda: [example]
    if summary is not None:
        _summaries[event_type] = summary
    if shape is not None:
        _shapes[event_type] = shape
    elif example is not None:
        _shapes[event_type] = shape_of(example)


def when(event_type: str) -> str:
    """Say when events of this type happen, "" if nobody said."""
    return _when.get(event_type, "")


def summary_format(event_type: str) -> SummaryFormat | None:
    """Return how events of this type read, None if nobody said."""
    return _summaries.get(event_type)


def summary_formats() -> dict[str, SummaryFormat]:
    """Return {event type: how its events read} of those of which somebody said it."""
    return dict(_summaries)


def samples(event_type: str) -> list[Mapping[str, Any]]:
    """Return made-up payloads, as `publish` gets them; [] where nobody can make one. Values of any type."""
    try:
        return list(_samples[event_type]())
    except KeyError:
        return []
    except Exception:  # a host's payload() that takes no example
        logger.info("there are no samples of %s: its payload takes no example", event_type)
        return []


def choices() -> list[tuple[str, str]]:
    """Return ``[(event_type, label), …]`` in the order of registration, as Django's choices."""
    return list(_labels.items())


def on_request() -> list[tuple[str, str]]:
    """Return ``[(event_type, label), …]`` of those that nobody subscribes to."""
    return list(_on_request.items())


def is_on_request(event_type: str) -> bool:
    """Tell whether `event_type` is recorded only when somebody asks for it."""
    return event_type in _on_request


def recorded() -> list[tuple[str, str]]:
    """Return `choices` and those that are recorded on request: what a list of events can be filtered by."""
    return [*_labels.items(), *_on_request.items()]


def offered_to(manifest: Manifest) -> list[tuple[str, str]]:
    """Return those of `choices` that this kind of system can take.

    One that takes orders and no other events is offered those whose payload may hold an order.
    """
    if "deliver" in manifest.does:
        return choices()
    return [each for each in choices() if _may_be_order(each[0])] if "export" in manifest.does else []


def refusal(event_type: str, manifest: Manifest) -> str:
    """Say why a known event type is not offered to this kind of system."""
    what = "takes orders, and its payload holds none" if "export" in manifest.does else "takes no events"
    return f"{event_type} cannot be sent there: {manifest.label} {what}"


def _may_be_order(event_type: str) -> bool:
    shape = payload_shape(event_type)
    return shape.is_open or not shape.fields.keys().isdisjoint(("order", "lines"))


def payload_shape(event_type: str) -> Shape:
    """Return what the body of `event_type` may hold; an open object where nobody said it."""
    found = _shapes.get(event_type, ANY_OBJECT)
    if not isinstance(found, Shape):
        try:
            found = _shapes[event_type] = found()
        except Exception:  # a host's payload() that takes no example
            logger.info("conditions on %s are not compared with its payload: it takes no example", event_type)
            found = ANY_OBJECT
    frame = {"event_type": event_type, "timestamp": "", "tenant": {"id": 1, "name": ""}}
    cut = {"truncated": shape_of([""]) | shape_of(None)}  # named where the payload was too large
    fields = {**shape_of(frame).fields, **found.fields, **cut}
    body = Shape(found.kinds, fields, is_open=found.is_open)
    return body.with_values(("event_type",), frozenset({event_type})) if event_type else body
