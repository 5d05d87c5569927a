"""Celery's doors into the app; the work is elsewhere. Messages carry ids and may be lost, doubled or late."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from django.db import close_old_connections

from integrations.audit.retention import purge_log
from integrations.connections.registered import model_of
from integrations.delivery.drain import drain
from integrations.delivery.health_checks import check_one, request_checks
from integrations.delivery.manual import record_manual
from integrations.delivery.rotation import rotate_overdue
from integrations.delivery.sweep import sweep
from integrations.delivery.wakeup import SLOW_QUEUE
from integrations.inbound.models import AbstractWebhookEvent
from integrations.inbound.process import process
from integrations.inbound.retention import purge_received
from integrations.inbound.sweep import process_due
from integrations.observability.heartbeat import beat
from integrations.outbox.models import IntegrationSync
from integrations.outbox.retention import purge


class QuietTask(Task):
    """A task whose arguments appear nowhere: a hand-made payload may hold anything."""

    abstract = True
    ignore_result = True
    Request = "integrations.observability.quiet_request:QuietRequest"

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, **{"argsrepr": "(…)", "kwargsrepr": "{…}", **options})


@shared_task(bind=True, base=QuietTask, name="integrations.tasks.send_integration_webhook", time_limit=90)
def send_integration_webhook(
    self: Task,
    integration_id: int | None = None,
    content_type_id: int | None = None,
    object_id: Any = None,
    event_type: str | None = None,
    payload: dict[str, Any] | None = None,
    sync_id: int | None = None,
) -> dict[str, Any]:
    """Send what is due for one integration (the wake-up: ``integration_id`` alone).

    With an object, an event type and a payload, as seeds/001 calls it, that event is recorded first; the same
    message twice records it once. ``sync_id`` looks at the lane of that row.
    """
    close_old_connections()
    if sync_id is not None:
        row = IntegrationSync.objects.filter(pk=sync_id).values_list("integration_id", flat=True)
        integration_id = row.first()
    if integration_id is None:
        return {"sent": 0, "outcome": "unknown row"}
    if event_type is not None:
        record_manual(integration_id, content_type_id, object_id, event_type, payload, self.request.id)
    queue = (self.request.delivery_info or {}).get("routing_key")
    done = drain(integration_id, is_slow_worker=queue in (None, SLOW_QUEUE))
    return {"sent": done.sent, "outcome": done.outcome}


@shared_task(base=QuietTask, name="integrations.tasks.retry_failed_syncs", time_limit=300)
def retry_failed_syncs() -> dict[str, int]:
    """Wake every lane that has something due; scheduled by beat. Returns counts."""
    close_old_connections()
    beat("worker")
    return sweep()


@shared_task(base=QuietTask, name="integrations.tasks.purge_settled", time_limit=1800)
def purge_settled() -> dict[str, int]:
    """Delete what is settled, logged or received and older than RETENTION_DAYS; scheduled by beat. Returns counts."""
    close_old_connections()
    return {**purge(), "log": purge_log(), "webhooks": purge_received()}


@shared_task(base=QuietTask, name="integrations.tasks.check_connections", time_limit=300)
def check_connections() -> dict[str, int]:
    """Ask for the health checks that are due; scheduled by beat. Returns counts."""
    close_old_connections()
    return request_checks()


@shared_task(base=QuietTask, name="integrations.tasks.check_connection", time_limit=90)
def check_connection(integration_id: int) -> dict[str, bool | None]:
    """Check one integration: a call that changes nothing."""
    close_old_connections()
    return {"works": check_one(integration_id)}


@shared_task(base=QuietTask, name="integrations.tasks.rotate_credentials", time_limit=1800)
def rotate_credentials() -> dict[str, int]:
    """Renew overdue credentials where the connector can; scheduled by beat. Returns counts."""
    close_old_connections()
    return rotate_overdue()


@shared_task(base=QuietTask, name="integrations.tasks.process_webhook", time_limit=80)
def process_webhook(webhook_event_id: Any, app_label: str, model_name: str) -> dict[str, str]:
    """Process one stored webhook, if that is due (seeds/000); an unknown one is logged and not tried again."""
    close_old_connections()
    return {"outcome": process(model_of(app_label, model_name, AbstractWebhookEvent), webhook_event_id)}


@shared_task(base=QuietTask, name="integrations.tasks.process_received_webhooks", time_limit=300)
def process_received_webhooks() -> dict[str, int]:
    """Process stored webhooks that are due: lost hints, dead workers, failures; scheduled by beat. Returns counts."""
    close_old_connections()
    return process_due()
