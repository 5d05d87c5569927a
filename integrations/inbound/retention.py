"""Forget old webhooks, raw bodies and all; with them goes the memory of what has come before.

Those that proved nothing are forgotten sooner: nobody is owed anything, and a stranger decides how many there are.
Those that wait for a connection that is switched off are forgotten too: whoever switches it on after a month does not
expect last month's orders.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q

from integrations import conf, database_clock

from .sweep import stored_models, waiting

REJECTED_DAYS = 3.0


def purge_received() -> int:
    """Delete rows older than RETENTION_DAYS with which nothing is left to do, or whose connection is off, in batches.

    Returns how many.
    """
    now = database_clock.now()
    before = now - timedelta(days=conf.RETENTION_DAYS)
    rejected_before = now - timedelta(days=min(conf.RETENTION_DAYS, REJECTED_DAYS))
    count = 0
    for model in stored_models():
        rejected = model._base_manager.filter(signature_valid=False, received_at__lt=rejected_before).order_by("pk")
        while ids := list(rejected.values_list("pk", flat=True)[: conf.RETENTION_BATCH]):
            count += model._base_manager.filter(pk__in=ids).delete()[0]
        last_id = 0
        while True:
            # In id order, which is time order: stop at the first young row instead of looking at all.
            rows = model._base_manager.filter(pk__gt=last_id).order_by("pk")
            batch = list(rows.values_list("pk", "received_at")[: conf.RETENTION_BATCH])
            old = [pk for pk, received_at in batch if received_at < before]
            if not old:
                break
            last_id = old[-1]
            # Kept is what somebody still works at.
            left = Q(next_attempt_at=None) | Q(pk__in=waiting(model).filter(pk__in=old).values("pk"))
            ids = list(model._base_manager.filter(left, pk__in=old).values_list("pk", flat=True))
            count += model._base_manager.filter(pk__in=ids).delete()[0]
    return count
