"""Is everything alive? The overall answer is public; the details are for staff."""

from __future__ import annotations

import threading
import time
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from integrations.database import clock
from integrations.delivery.hints import SLOW_QUEUE, broker_answers

from .heartbeat import which_are_alive
from .processes import is_consumed, seen_lately

FRESH_SECONDS = 2.0
MAX_LISTED = 500
_asking = threading.Lock()
_last: dict[str, bool] = {}
_last_at = 0.0


def status() -> dict[str, bool]:
    """Return what is up: ``database``, ``broker``, ``worker``, ``slow_worker``, ``beat``; takes two seconds at most.

    Asked anew at most every FRESH_SECONDS in each process, by one caller at a time: the page is public, and
    must not be a way to keep the broker busy.
    """
    global _last, _last_at
    if (_last and time.monotonic() - _last_at < FRESH_SECONDS) or not _asking.acquire(blocking=not _last):
        return _last
    try:
        _last, _last_at = _ask(), time.monotonic()
        return _last
    finally:
        _asking.release()


def forget() -> None:
    """Ask anew at the next call."""
    global _last
    _last = {}


def _ask() -> dict[str, bool]:
    try:
        # The first of these answers for the database too.
        alive = which_are_alive("worker", "beat")
        found = {
            "database": True,
            "worker": "worker" in alive,
            "slow_worker": is_consumed(SLOW_QUEUE),
            "beat": "beat" in alive,
        }
    except DatabaseError:
        found = dict.fromkeys(("database", "worker", "slow_worker", "beat"), False)
    return {**found, "broker": broker_answers()}


def processes() -> list[dict[str, Any]]:
    """Return every process that is alive, with its queues and the seconds by which its clock is ahead.

    A clock that is wrong is a thing to mend, and no reason to call the whole degraded: what is delivered, and when,
    the database's clock decides.
    """
    return [
        {
            "name": each.name,
            "kind": each.kind,
            "host": each.host,
            "pid": each.pid,
            "queues": each.queues.split(",") if each.queues else [],
            "skew_seconds": round(each.skew_seconds, 1),
            "clock": "wrong" if abs(each.skew_seconds) > clock.OFF_SECONDS else "ok",
        }
        for each in seen_lately()[:MAX_LISTED]
    ]


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """``GET /health/`` → 200 or 503 with ``{"status": "ok" | "degraded"}``; staff see which part.

    Without a broker, worker or beat, nothing is lost, but nothing is delivered either.
    """
    parts = status()
    healthy = all(parts.values())
    body: dict[str, Any] = {"status": "ok" if healthy else "degraded"}
    if parts["database"] and request.user.is_authenticated and request.user.is_staff:
        body["parts"] = {name: "up" if up else "down" for name, up in sorted(parts.items())}
        body["processes"] = processes()
    return JsonResponse(body, status=200 if healthy else 503)
