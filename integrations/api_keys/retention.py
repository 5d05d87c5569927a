"""Forget what the API remembers of writes that named themselves."""

from __future__ import annotations

from datetime import timedelta

from integrations.database import clock

from .models import IdempotentRequest

KEPT = timedelta(days=1)


def purge_requests() -> int:
    """Delete the requests that are older than KEPT; return how many."""
    deleted, _ = IdempotentRequest.objects.filter(made_at__lt=clock.now() - KEPT).delete()
    return deleted
