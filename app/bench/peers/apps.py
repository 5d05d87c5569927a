"""The app with the peers' model."""

from __future__ import annotations

import time
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save

commits: dict[str, int] = {}  # reference → time.monotonic_ns() when the row was durable


class PeersConfig(AppConfig):
    """Notes when a ticket was stored, and keeps connections where that is asked for."""

    name = "app.bench.peers"
    label = "bench_peers"

    def ready(self) -> None:
        from django.conf import settings

        from . import events, tuning
        from .models import Ticket

        post_save.connect(note_commit, sender=Ticket, weak=False)
        events.declare()
        if getattr(settings, "TUNED", False):
            tuning.keep_connections()


def note_commit(sender: Any, instance: Any, **kwargs: Any) -> None:
    """In autocommit, Django sends post_save when the row is durable."""
    commits[instance.reference_id] = time.monotonic_ns()
