"""Is everything alive? The overall answer is public; the details are for staff."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from integrations.delivery.wakeup import broker_answers

from .heartbeat import is_alive


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def status() -> dict[str, bool]:
    """Return what is up: ``database``, ``broker``, ``worker``, ``beat``; bounded to about two seconds."""
    try:
        found = {"database": _database(), "worker": is_alive("worker"), "beat": is_alive("beat")}
    except DatabaseError:
        found = {"database": False, "worker": False, "beat": False}
    return {**found, "broker": broker_answers()}


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
    return JsonResponse(body, status=200 if healthy else 503)
