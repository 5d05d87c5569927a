"""Forget old webhooks, raw bodies and all; with them goes the memory of what has come before.

Those that proved nothing are forgotten sooner: nobody is owed anything, and a stranger decides how many there are.
Those that wait for a connection that is switched off are forgotten too: whoever switches it on after a month does not
expect last month's orders.
"""

from __future__ import annotations

from integrations import conf
from integrations.database.retention import is_old, old_pages
from integrations.tenancy.deletion import delete_page

from .models import AbstractWebhookEvent
from .sweep import stored_models, waiting

REJECTED_DAYS = 3.0


def purge_received() -> int:
    """Delete rows older than RETENTION_DAYS with which nothing is left to do, or whose connection is off, in batches.

    Returns how many. A row that somebody has processed again since it was looked at stays.
    """
    return sum(_purge_rejected(model) + _purge_done(model) for model in stored_models())


def _purge_rejected(model: type[AbstractWebhookEvent]) -> int:
    old = is_old("received_at", min(conf.RETENTION_DAYS, REJECTED_DAYS))
    rejected = model._base_manager.filter(old, signature_valid=False)
    count = 0
    while ids := list(rejected.order_by("pk").values_list("pk", flat=True)[: conf.RETENTION_BATCH]):
        gone = delete_page(rejected, ids)[model._meta.label]
        if not gone:
            break  # somebody else deletes them
        count += gone
    return count


def _purge_done(model: type[AbstractWebhookEvent]) -> int:
    old, count = is_old("received_at"), 0
    for page in old_pages(model._base_manager.all(), old):
        # Kept is what somebody still works at.
        for done in (model._base_manager.filter(next_attempt_at=None), waiting(model)):
            count += delete_page(done.filter(old), page)[model._meta.label]
    return count
