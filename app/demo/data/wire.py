"""What an attempt of the simulated week sent and got, made by the connector itself: only the wire is not real."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from integrations.connections import event_types
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Envelope
from integrations.database import clock
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.models import IntegrationEvent
from integrations.transport import recording
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.redaction import mask_url
from integrations.transport.response import Headers, Response

Answered = tuple[str, IntegrationError | None, list[dict[str, Any]]]  # what the log keeps, what went wrong, exchanges


class Wire(GuardedClient):
    """Sends nothing: `answer` comes back, None for a destination that is silent.

    Args:
        place: host and port of the destination, which may be on this machine.
    """

    def __init__(self, place: str) -> None:
        super().__init__(AddressPolicy(allowed_hosts=(place,) if ":" in place else ()))
        self.answer: Response | None = None

    def _exchange(self, *args: Any) -> Response:
        if self.answer is None:
            raise IntegrationTemporaryError("it did not answer in time", code="timeout")
        return self.answer


def answer(status: int, body: str, ms: int) -> Response:
    """Return what a destination answers."""
    kind = "application/json" if body.startswith(("{", "[")) else "text/plain"
    pairs = [("content-type", kind), *([("retry-after", "20")] if status == 429 else [])]
    return Response(status=status, headers=Headers(pairs), body=body.encode(), elapsed_ms=ms)


def deliver(connector: BaseConnector, event: IntegrationEvent, number: int) -> Answered:
    """Let `connector` make its request for attempt `number` at `event`, and judge the answer."""
    recorder, body, failure, excerpt = recording.Recorder(), event.body.encode(), None, ""
    token = recording.current.set(recorder)
    try:
        envelope = Envelope(
            event_type=event.event_type,
            idempotency_key=event.idempotency_key,
            body=body,
            sequence=event.pk,
            attempt=number,
            payload_version=1,
            summary_format=event_types.summary_format(event.event_type),
        )
        excerpt = connector.deliver(envelope).excerpt
    except IntegrationError as error:
        failure, excerpt = error, error.excerpt
    finally:
        recording.current.reset(token)
    names: Sequence[tuple[str, object]] = (
        ("webhook-id", event.idempotency_key),
        ("webhook-event", event.event_type),
        ("webhook-sequence", event.pk),
        ("webhook-attempt", number),
        ("webhook-payload-version", 1),
    )
    scribe = recording.Scribe(
        lambda: connector.secrets, secret_path=connector.manifest.secret_path, address=mask_url(connector.base_url)
    )
    entries = scribe.entries(recorder, 0, body, [f"{name}: {value}" for name, value in names], excerpt)
    return excerpt, failure, list(entries)  # type: ignore[arg-type]  # the first of a scribe is always in full


@contextmanager
def clock_at(moment: float) -> Iterator[None]:
    """Let this process take it that it is `moment` (seconds since 1970): what is signed has that time in it."""
    local = time.time()
    clock.measured(local - moment, local=local, at=clock.elapsed())
    try:
        yield
    finally:
        clock.forget()
