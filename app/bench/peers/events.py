"""The event that django-outbound-webhooks delivers."""

from __future__ import annotations

import dataclasses
from typing import Any

NAME = "bench_peers.TicketSaved"

declared: list[Any] = []


def declare() -> None:
    """Declare ``bench_peers.TicketSaved`` once the apps are loaded."""
    from django_domain_events import event

    @event(name=NAME)
    @dataclasses.dataclass(frozen=True)
    class TicketSaved:
        id: int
        reference_id: str
        description: str
        status: str
        type: str
        priority: str
        intake_method: str
        comments: str

    declared[:] = [TicketSaved]


def saved(ticket: Any) -> Any:
    """Return the event of a ticket."""
    made = declared[0]
    return made(**{one.name: getattr(ticket, one.name) for one in dataclasses.fields(made)})
