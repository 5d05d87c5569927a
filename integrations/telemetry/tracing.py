"""Traces with OpenTelemetry, where a host collects them: the extra ``opentelemetry``, and an SDK that it sets up.

    save      its span's context is kept with the event (`kept`)
    worker    a span for each slice, and in it one for each attempt, linked to the save's (`sliced`, `attempted`)
    request   carries the attempt's context as ``traceparent`` (`header`), for the receiver's own spans
    inbound   what a webhook causes is traced below a span that is linked to the sender's (`received`)

A save and its attempts are days and processes apart, and a slice sends what many saves have caused: so their traces are
linked and not one (docs/adr/0046). Without the package, or where nobody has set up an SDK, nothing is done here.

What spans say is bounded: no payload, no address but the host's name, no secret, no text of an exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from integrations import conf

try:
    from opentelemetry import trace
    from opentelemetry.context import get_current
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # the extra is left out
    HAS_API = False
else:
    HAS_API = True
    _tracer = trace.get_tracer("integrations")
    _w3c = TraceContextTextMapPropagator()
    _SILENT = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)

HEADER = "traceparent"
MAX_TRACEPARENT = 55  # characters of one
MAX_TEXT = 200  # characters of an attribute
SYSTEM = "django-integration-outbox"  # the name of the messaging system that the outbox is


def kept() -> str:
    """Return the context of the current span as ``traceparent``, "" if there is none."""
    if not HAS_API or not trace.get_current_span().get_span_context().is_valid:
        return ""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    found = carrier.get(HEADER, "")
    return found if len(found) <= MAX_TRACEPARENT else ""


def header() -> dict[str, str]:
    """Return the header that a request carries to its destination; {} if there is no span, or a setting says so."""
    found = kept()
    return {HEADER: found} if found and conf.SEND_TRACEPARENT else {}


def is_collected() -> bool:
    """Tell whether somebody has set up an SDK."""
    return HAS_API and not isinstance(trace.get_tracer_provider(), _SILENT)


def current() -> Any:
    """Return the current context, to go on with in another thread; None if nobody collects spans."""
    return get_current() if is_collected() else None


@contextmanager
def sliced(connector_type: str, integration_id: int, rows: int) -> Iterator[None]:
    """Put a span around the work on one slice of a lane."""
    if not is_collected():
        yield
        return
    attributes = {
        **_messaging("process", "drain"),
        "messaging.batch.message_count": rows,
        "integrations.connector_type": connector_type[:MAX_TEXT],
        "integrations.integration_id": integration_id,
    }
    with _span(f"drain {connector_type[:MAX_TEXT]}", SpanKind.INTERNAL, attributes):
        yield


class Attempt:
    """The span of one attempt."""

    __slots__ = ("_span",)

    def __init__(self, span: Any) -> None:
        self._span = span

    def ended(self, response_status: int | None, problem: str) -> None:
        """Say what came of it.

        Args:
            problem: the code of its error; "": it was delivered.
        """
        if response_status is not None:
            self._span.set_attribute("http.response.status_code", response_status)
        if problem:
            self._span.set_attribute("error.type", problem[:MAX_TEXT])
            self._span.set_status(Status(StatusCode.ERROR, problem[:MAX_TEXT]))


@contextmanager
def attempted(
    event_type: str, caused_by: str, address: str, attributes: Mapping[str, Any], *, within: Any
) -> Iterator[Attempt]:
    """Put a span around one attempt.

    Args:
        caused_by: the ``traceparent`` that was kept with the event, "" if there is none.
        address: of the destination; only its host's name is told.
        attributes: more of them, of the outbox.
        within: the context of the slice (`current`).
    """
    event_type = event_type[:MAX_TEXT]
    told = {
        **_messaging("send", "deliver"),
        "messaging.destination.name": event_type,
        **{name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in attributes.items()},
    }
    if host := _host(address):
        told["server.address"] = host
    with _span(f"deliver {event_type}", SpanKind.PRODUCER, told, caused_by, within) as span:
        yield Attempt(span)


@contextmanager
def received(headers: Mapping[str, str], attributes: Mapping[str, Any]) -> Iterator[None]:
    """Put a span around the processing of a webhook, linked to the span in which it was sent."""
    if not is_collected():
        yield
        return
    caused_by = next((value for name, value in headers.items() if name.lower() == HEADER), "")
    told = {**_messaging("process", "process"), "messaging.destination.name": "webhook", **attributes}
    with _span("process webhook", SpanKind.CONSUMER, told, caused_by):
        yield


def _span(name: str, kind: Any, attributes: Mapping[str, Any], caused_by: str = "", within: Any = None) -> Any:
    return _tracer.start_as_current_span(
        name,
        within,
        kind,
        dict(attributes),
        _links(caused_by),
        record_exception=False,  # its text may hold anything
        set_status_on_exception=False,
    )


def _links(traceparent: str) -> list[Any]:
    """Return a link to the span of a ``traceparent``; none if it is none."""
    if not traceparent:
        return []
    found = trace.get_current_span(_w3c.extract({HEADER: traceparent})).get_span_context()
    return [Link(found)] if found.is_valid else []


def _messaging(kind: str, name: str) -> dict[str, Any]:
    return {"messaging.system": SYSTEM, "messaging.operation.type": kind, "messaging.operation.name": name}


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "")[:MAX_TEXT]
    except ValueError:
        return ""
