"""Forget old webhooks, raw bodies and all; with them goes the memory of what has come before.

Those that proved nothing are forgotten sooner: nobody is owed anything, and a stranger decides how many there are.
Those that wait for a connection that is switched off are forgotten too: whoever switches it on after a month does not
expect last month's orders.
"""

from __future__ import annotations

from django.db.models import BooleanField, ExpressionWrapper, Q

from integrations import conf
from integrations.database_clock import after
from integrations.tenancy.deletion import delete_page

from .models import AbstractWebhookEvent
from .sweep import stored_models, waiting

REJECTED_DAYS = 3.0
DAY = 86400.0


def purge_received() -> int:
    """Delete rows older than RETENTION_DAYS with which nothing is left to do, or whose connection is off, in batches.

    Returns how many. A row that somebody has processed again since it was looked at stays.
    """
    return sum(_purge_rejected(model) + _purge_done(model) for model in stored_models())


def _purge_rejected(model: type[AbstractWebhookEvent]) -> int:
    is_old = Q(received_at__lt=after(-min(conf.RETENTION_DAYS, REJECTED_DAYS) * DAY))
    rejected = model._base_manager.filter(is_old, signature_valid=False)
    count = 0
    while ids := list(rejected.order_by("pk").values_list("pk", flat=True)[: conf.RETENTION_BATCH]):
        gone = delete_page(rejected, ids)[model._meta.label]
        if not gone:
            break  # somebody else deletes them
        count += gone
    return count


def _purge_done(model: type[AbstractWebhookEvent]) -> int:
    is_old = Q(received_at__lt=after(-conf.RETENTION_DAYS * DAY))
    marked = model._base_manager.order_by("pk").annotate(is_old=ExpressionWrapper(is_old, output_field=BooleanField()))
    count, last = 0, None
    while True:
        # In id order, which is time order: stop at the first young row instead of looking at all.
        left = marked if last is None else marked.filter(pk__gt=last)
        old = [pk for pk, is_old_enough in left.values_list("pk", "is_old")[: conf.RETENTION_BATCH] if is_old_enough]
        if not old:
            return count
        last = old[-1]
        # Kept is what somebody still works at.
        for done in (model._base_manager.filter(next_attempt_at=None), waiting(model)):
            count += delete_page(done.filter(is_old), old)[model._meta.label]
