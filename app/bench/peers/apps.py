"""The app with the peers' model, the event that is made of it, and what a team would change first in a peer."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import requests
from django.apps import AppConfig
from django.db.models.signals import post_save

commits: dict[str, int] = {}  # reference → time.monotonic_ns() when the row was durable


class PeersConfig(AppConfig):
    """Notes when a ticket was stored, and keeps connections where that is asked for."""

    name = "app.bench.peers"
    label = "bench_peers"

    def ready(self) -> None:
        from django.conf import settings

        from .models import Ticket

        post_save.connect(note_commit, sender=Ticket, weak=False)
        declare_event()
        if getattr(settings, "TUNED", False):
            keep_connections()


def note_commit(sender: Any, instance: Any, **kwargs: Any) -> None:
    """In autocommit, Django sends post_save when the row is durable."""
    commits[instance.reference_id] = time.monotonic_ns()


# -- what django-outbound-webhooks delivers -----------------------------------------------------------------

EVENT = "bench_peers.TicketSaved"

declared: list[Any] = []


def declare_event() -> None:
    """Declare ``bench_peers.TicketSaved`` once the apps are loaded."""
    from django_domain_events import event

    @event(name=EVENT)
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


def event_of(ticket: Any) -> Any:
    """Return the event of a ticket."""
    made = declared[0]
    return made(**{one.name: getattr(ticket, one.name) for one in dataclasses.fields(made)})


# -- HTTP connections that are kept --------------------------------------------------------------------------

_kept = threading.local()


def kept_session(*arguments: Any) -> requests.Session:
    """Return this thread's session, so that its connections are used again."""
    session: requests.Session | None = getattr(_kept, "session", None)
    if session is None:
        session = _kept.session = requests.Session()
        session.trust_env = False  # or each request reads the environment and .netrc
    return session


def keep_connections() -> None:
    """Let django-webhook's task use a kept session instead of a new one for each request."""
    from django_webhook import tasks

    tasks.Session = kept_session
