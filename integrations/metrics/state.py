"""What Prometheus reads: what was counted, and what is, read from the database when it asks.

Every query is bounded, whatever the history: lanes and processes are few, and of a lane's rows only the first is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from django.db.models import Case, Count, F, Max, Value, When
from django.db.models.functions import Abs, Now
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.delivery.hints import QUEUE, SLOW_QUEUE
from integrations.observability import backlog, health, processes
from integrations.observability.models import Heartbeat
from integrations.pull.models import SyncState

COUNTED = 100_000  # rows that wait are counted up to this
CONTENT_TYPE = CONTENT_TYPE_LATEST


def counted() -> bytes:
    """Return what this process counted; with ``PROMETHEUS_MULTIPROC_DIR``, what all of that folder did."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


class StateCollector:
    """Reads the state at each `collect`."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now, alive = clock.now(), processes.seen_lately().order_by()
        parts = {part: float(up) for part, up in health.status().items()}
        yield _gauge("parts_up", "1: this part of the system answers (database, broker, worker, …).", "part", parts)
        yield _gauge("lanes", "Lanes of integrations, by what they do.", "state", _lanes())
        waiting = {None: float(backlog.count_waiting(COUNTED))}
        yield _gauge("backlog_rows", f"Deliveries that wait, counted up to {COUNTED}.", None, waiting)
        since = backlog.oldest_by_rest()
        yield _gauge(
            "oldest_due_seconds",
            "For how long the oldest due delivery waits: in lanes that nothing holds back (free), and in those that "
            "rest after failures (resting).",
            "lanes",
            {name: max(0.0, (now - at).total_seconds()) if at else 0.0 for name, at in since.items()},
        )
        pulls = SyncState.objects.values_list("status").annotate(number=Count("pk")).order_by()
        yield _gauge("pulls", "Pulls, by how their last run went.", "state", dict(pulls))
        kinds = dict.fromkeys((processes.WEB, processes.WORKER, processes.BEAT), 0)
        found = alive.values_list("kind").annotate(number=Count("pk"))
        yield _gauge("processes", "Processes that are alive.", "kind", {**kinds, **dict(found)})
        yield _gauge("queue_workers", "Workers that take messages from a queue.", "queue", _workers_of_queues())
        worst = alive.values_list("kind").annotate(worst=Max(Abs(F("skew_seconds"))))
        yield _gauge(
            "clock_skew_seconds", "By how much the worst clock of these processes is off.", "kind", dict(worst)
        )
        beats = Heartbeat.objects.all()[:100]
        ages = {beat.name: max(0.0, (now - beat.beaten_at).total_seconds()) for beat in beats}
        yield _gauge("heartbeat_age_seconds", "Since when a part has not been seen.", "name", ages)


def _gauge(name: str, meaning: str, label: str | None, values: dict[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"integrations_{name}", meaning, labels=[label] if label else None)
    for value, number in sorted(values.items(), key=lambda item: str(item[0])):
        family.add_metric([value] if label else [], number)
    return family


def _lanes() -> dict[Any, float]:
    state = Case(
        When(lane__deleting_since__isnull=False, then=Value("being_deleted")),
        When(is_active=False, then=Value("off")),
        When(is_enabled=False, then=Value("disabled")),
        When(lane__paused_since__isnull=False, then=Value("paused")),
        When(lane__paused_until__gt=Now(), then=Value("resting")),
        When(lane__lease_expires_at__gt=Now(), then=Value("sending")),
        default=Value("idle"),
    )
    found = TenantIntegration.unannounced.values_list(state).annotate(number=Count("pk")).order_by()
    names = ("being_deleted", "off", "disabled", "paused", "resting", "sending", "idle")
    return {**dict.fromkeys(names, 0.0), **{name: float(number) for name, number in found}}


def _workers_of_queues() -> dict[Any, float]:
    numbers = dict.fromkeys((QUEUE, SLOW_QUEUE), 0.0)
    lists = processes.seen_lately().filter(kind=processes.WORKER).values_list("queues", flat=True)
    for queue in (queue for queues in lists for queue in queues.split(",")):
        if queue in numbers:  # a host's own queues are not ours to tell of
            numbers[queue] += 1
    return numbers
