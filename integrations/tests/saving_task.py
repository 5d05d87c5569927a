"""A host's task that saves a work item, for workers of tests: ``-I integrations.tests.saving_task -Q saving``."""

from __future__ import annotations

from celery import shared_task

from integrations.delivery import hints
from tasks.models import WorkItem

QUEUE = "saving"


@shared_task(ignore_result=True)
def save_item(tenant_id: int) -> None:
    """Save a new work item of a tenant."""
    hints.BROKER_SECONDS = hints.WAKE_SECONDS = 30.0  # of this process: a busy machine's broker takes its time
    WorkItem.objects.create(tenant_id=tenant_id, reference_id="RMA-1")
