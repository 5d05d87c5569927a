"""What runs: processes, queues, clocks, periodic tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from integrations import conf
from integrations.console.access import Access
from integrations.console.page import is_part, page, show
from integrations.database import clock
from integrations.delivery.hints import QUEUE, SLOW_QUEUE, messages_waiting
from integrations.observability import health
from integrations.observability.lights import Periodic, Process, lights, periodic_tasks, processes
from integrations.observability.processes import WORKER
from integrations.statistics.reading import rolled
from integrations.statistics.words import ago, took
from integrations.tenancy.roles import Role

FOR = {
    QUEUE: gettext_lazy("what is due, and periodic tasks"),
    SLOW_QUEUE: gettext_lazy("lanes that are slow, pulls, deletions"),
}


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of the broker.

    Attributes:
        waiting: messages; None: the broker does not say.
        workers: that take from it and are alive.
    """

    name: str
    meaning: str
    waiting: int | None
    workers: int


@page(Role.VIEWER, operators_only=True)
def system(request: HttpRequest, access: Access) -> HttpResponse:
    """Show every process and queue, how far each clock is off, and when each periodic task last ran."""
    parts, now = health.status(), clock.now()
    context: dict[str, Any] = {"lights": lights([], parts)}
    if parts["database"]:
        seen = processes(now)
        context |= {
            "lights": lights(seen, parts),
            "queues": _queues(seen, answers=parts["broker"]),
            "processes": [(each, ago(each.ago)) for each in seen],
            "periodic": [_periodic(each, now) for each in periodic_tasks(now)],
            "figures_until": datetime.fromtimestamp(minute * 60, UTC) if (minute := rolled().tenants) else None,
            "stale": took(conf.HEARTBEAT_STALE_SECONDS * 1000),
        }
    template = "parts/system_live.html" if is_part(request) else "system.html"
    return show(request, access, template, context)


def _queues(seen: list[Process], *, answers: bool) -> list[Queue]:
    waiting: dict[str, int | None] = messages_waiting(list(FOR)) if answers else {}
    alive = [each for each in seen if each.kind == WORKER and not each.is_lost]
    return [
        Queue(name, str(meaning), waiting.get(name), sum(name in each.queues for each in alive))
        for name, meaning in FOR.items()
    ]


def _periodic(task: Periodic, now: datetime) -> tuple[Periodic, str, str]:
    return task, took(task.every * 1000), ago((now - task.ended_at).total_seconds()) if task.ended_at else ""
