"""Our side of a measurement: tenants with integrations, due rows, workers of the documented set-up."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection, transaction

from app.celery import app as celery
from integrations.models import IntegrationSync, TenantIntegration
from tasks.models import WorkItem
from tenants.models import Tenant

from .cell import Cell

EVENTS = ("workitem_created", "workitem_updated", "workitem_status_changed")
SWEEP = "integrations.tasks.retry_failed_syncs"
# The processes of docs/OPERATIONS.md: change them here when they change there.
WORKER = ("-m", "celery", "-A", "app")
QUIET = ("--loglevel", "warning", "--without-gossip", "--without-mingle")


def add_integration(name: str, url: str, tenant: Tenant | None = None, **fields: Any) -> TenantIntegration:
    """Add a signing webhook of `tenant` (a new one of the same name) that wants every event of a work item."""
    tenant = tenant or Tenant.objects.create(name=name)
    values = {"name": name, "integration_type": "webhook", "webhook_url": url, **fields}
    integration = TenantIntegration.objects.create(tenant=tenant, **values)
    integration.subscribe(*EVENTS)
    return integration


def add_integrations(cell: Cell, count: int) -> list[TenantIntegration]:
    return [add_integration(f"Bench {number}", cell.receiver.url(f"/hook/{number}")) for number in range(count)]


def workers(processes: int | None, *, sqlite: bool) -> list[list[str]]:
    """Return the arguments of each Celery worker.

    Args:
        processes: how many processes deliver; None: as many as documented.
        sqlite: the set-up of ``make run``, for a database that is one file.
    """
    if sqlite:
        return [[*WORKER, "worker", "-P", "threads", "--concurrency", "8", *QUIET]]
    return [[*WORKER, "worker", "-P", "threads", "--concurrency", "100", *QUIET] for _ in range(processes or 2)]


def start_workers(cell: Cell, processes: int | None = None, *, beat: bool = False) -> None:
    """Start the documented workers and wait until they take work."""
    commands = workers(processes, sqlite=cell.is_sqlite)
    for number, command in enumerate(commands):
        name = f"bench{number}"
        cell.workers.append(cell.python(name, [*command, "-n", f"{name}@bench"]))
    if beat:
        cell.python("beat", [*WORKER, "beat", "--loglevel", "warning", "--pidfile=", "-s", "/dev/null"])
    cell.wait(_all_answer(len(commands)), "the workers to answer", 60, pause=0.1)


def _all_answer(count: int) -> Any:
    def answer() -> bool:
        return len(celery.control.ping(timeout=1.0, limit=count)) >= count

    return answer


def sweep() -> None:
    """Ask the workers to look at all lanes."""
    celery.send_task(SWEEP)


def settled(integration_ids: list[int]) -> bool:
    """Tell whether nothing of these integrations is pending."""
    return not IntegrationSync.objects.filter(integration_id__in=integration_ids, status="pending").exists()


def save_item(tenant: Tenant, reference: str, commits: dict[str, int] | None = None, **fields: Any) -> WorkItem:
    """Create one work item; note in `commits` when its transaction was durable (time.monotonic_ns())."""
    item = WorkItem(tenant=tenant, reference_id=reference, **fields)
    with transaction.atomic():
        if commits is not None:
            transaction.on_commit(lambda: commits.__setitem__(reference, time.monotonic_ns()))
        item.save()
    return item


def close_connection() -> None:
    connection.close()
