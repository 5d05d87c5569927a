"""Celery's doors into the app; the work is elsewhere. Messages carry ids and may be lost, doubled or late."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from django.db import close_old_connections
from kombu.exceptions import OperationalError

from integrations.alerts.mail import send as send_mails
from integrations.alerts.watch import watch
from integrations.alone import shared
from integrations.api_keys.retention import purge_requests
from integrations.audit.retention import purge_log, purge_trail
from integrations.connections.registered import model_of
from integrations.delivery import run_slot
from integrations.delivery.deletion import delete_marked as go_on_deleting
from integrations.delivery.drain import drain
from integrations.delivery.health_checks import check_one, request_checks
from integrations.delivery.hints import QUEUE, SLOW_QUEUE, bounded_producer, in_time
from integrations.delivery.manual import record_manual
from integrations.delivery.rotation import rotate_overdue
from integrations.delivery.sweep import pass_on, sweep
from integrations.inbound.models import AbstractWebhookEvent
from integrations.inbound.process import process
from integrations.inbound.retention import purge_received
from integrations.inbound.sweep import request_processing
from integrations.jobs.retention import purge_jobs
from integrations.jobs.run import request_jobs
from integrations.jobs.run import run_job as take_turn
from integrations.observability.heartbeat import beat
from integrations.observability.periodic import has_just_run, note_end, scheduled_as
from integrations.outbox.models import IntegrationSync
from integrations.outbox.retention import purge
from integrations.pull.by_name import Request, pull_by_name
from integrations.pull.due import pull_one as pull_one_state
from integrations.pull.due import request_pulls
from integrations.services.adapter_call import call_adapter_method
from integrations.statistics.retention import purge_figures
from integrations.statistics.rolling import roll_up

SEND_SECONDS = 1.8  # how long whoever sends one of our tasks waits for the broker


class QuietTask(Task):
    """A task whose arguments appear nowhere: a hand-made payload may hold anything."""

    abstract = True
    ignore_result = True
    queue = QUEUE  # whatever the project's default queue is
    serializer = "json"
    Request = "integrations.observability.quiet_request:QuietRequest"

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the message, whatever the broker does: one that hangs is waited for SEND_SECONDS.

        Raises:
            OperationalError: the broker is away, or did not answer in time; then the message may still arrive.
        """
        options = {"argsrepr": "(…)", "kwargsrepr": "{…}", **options}
        if not options.keys().isdisjoint({"routing_key", "exchange"}):
            options.setdefault("queue", None)  # whoever sends it has said where to
        apply_async = super().apply_async
        if self.app.conf.task_always_eager or {"producer", "connection"} & options.keys():  # beat brings its own
            return apply_async(args, kwargs, **options)

        def send() -> Any:
            with bounded_producer() as producer:
                return apply_async(args, kwargs, **options, producer=producer)

        try:
            return in_time(send, SEND_SECONDS)
        except TimeoutError:
            pass
        raise OperationalError(f"the broker did not take {self.name} within {SEND_SECONDS:g} s; is it reachable?")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        close_old_connections()
        with shared():  # what may kill its process waits until nothing else runs in it
            return super().__call__(*args, **kwargs)


class PeriodicTask(QuietTask):
    """A task that beat sends; of messages that have piled up, one does the work."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        close_old_connections()
        name = scheduled_as(self.request)
        if has_just_run(self.name, name):
            return {"skipped": "another run has just ended"}
        done = super().__call__(*args, **kwargs)
        if name:
            note_end(self.name)
        return done


class SlowTask(QuietTask):
    """A task that asks a provider and may take its time: it goes to the slow queue, unless whoever sends it says."""

    abstract = True
    queue = SLOW_QUEUE


@shared_task(bind=True, base=QuietTask, name="integrations.tasks.send_integration_webhook", time_limit=90)
def send_integration_webhook(
    self: Task,
    integration_id: int | None = None,
    content_type_id: int | None = None,
    object_id: Any = None,
    event_type: str | None = None,
    payload: dict[str, Any] | None = None,
    sync_id: int | None = None,
    turn: int | None = None,
) -> dict[str, Any]:
    """Send what is due for one integration (a hint: ``integration_id``, and the ``turn`` of its lane that is asked
    for).

    With an object, an event type and a payload, that event is recorded first; the same
    message twice records it once. ``sync_id`` looks at the lane of that row.
    """
    if sync_id is not None:
        row = IntegrationSync.objects.filter(pk=sync_id).values_list("integration_id", flat=True)
        integration_id = row.first()
    if integration_id is None:
        return {"sent": 0, "outcome": "unknown row"}
    if event_type is not None:
        record_manual(integration_id, content_type_id, object_id, event_type, payload, self.request.id)
    queue = (self.request.delivery_info or {}).get("routing_key")
    with run_slot.running(f"lane {integration_id}", limit=90):
        done = drain(integration_id, turn=turn, is_slow_worker=queue in (None, SLOW_QUEUE))
    return {"sent": done.sent, "outcome": done.outcome}


@shared_task(base=QuietTask, name="integrations.tasks.wake_lanes", time_limit=90)
def wake_lanes(lanes: list[list[int]]) -> dict[str, int]:
    """Send one hint for each of these lanes (id, turn, is slow): a sweep's long list, worked by several."""
    return {"woken": pass_on(lanes)}


@shared_task(base=PeriodicTask, name="integrations.tasks.retry_failed_syncs", time_limit=300)
def retry_failed_syncs() -> dict[str, int]:
    """Wake every lane that has something due; scheduled by beat. Returns counts."""
    beat("worker")
    return sweep()


@shared_task(base=PeriodicTask, name="integrations.tasks.purge_settled", time_limit=1800)
def purge_settled() -> dict[str, int]:
    """Delete what is settled, logged or received and older than RETENTION_DAYS, and old figures.

    Scheduled by beat. Returns counts. The audit trail has a time of its own: AUDIT_RETENTION_DAYS.
    """
    done = {
        "log": purge_log(),
        "audit": purge_trail(),
        "webhooks": purge_received(),
        "figures": purge_figures(),
        "requests": purge_requests(),
    }
    return {**purge(), **done, "jobs": purge_jobs()}


@shared_task(base=PeriodicTask, name="integrations.tasks.roll_up_figures", time_limit=300)
def roll_up_figures() -> dict[str, int]:
    """Sum up the figures of deliveries that are over; scheduled by beat. Returns counts."""
    return roll_up()


@shared_task(base=PeriodicTask, name="integrations.tasks.tell_alerts", time_limit=300)
def tell_alerts() -> dict[str, int]:
    """Tell people what is wrong, and what works again (alerts/); scheduled by beat. Returns counts."""
    return {"told": len(watch()), "mails": send_mails()}


@shared_task(base=SlowTask, name="integrations.tasks.delete_marked", time_limit=300)
def delete_marked() -> dict[str, int]:
    """Go on deleting the integrations and tenants that people marked; scheduled by beat. Returns counts."""
    return go_on_deleting()


@shared_task(base=PeriodicTask, name="integrations.tasks.check_connections", time_limit=300)
def check_connections() -> dict[str, int]:
    """Ask for the health checks that are due; scheduled by beat. Returns counts."""
    return request_checks()


@shared_task(base=QuietTask, name="integrations.tasks.check_connection", time_limit=90)
def check_connection(integration_id: int) -> dict[str, bool | None]:
    """Check one integration: a call that changes nothing."""
    with run_slot.running(f"check of integration {integration_id}", limit=90):
        return {"works": check_one(integration_id)}


@shared_task(base=PeriodicTask, name="integrations.tasks.rotate_credentials", time_limit=1800)
def rotate_credentials() -> dict[str, int]:
    """Renew overdue credentials where the connector can; scheduled by beat. Returns counts."""
    return rotate_overdue()


@shared_task(base=QuietTask, name="integrations.tasks.process_webhook", time_limit=80)
def process_webhook(webhook_event_id: Any, app_label: str, model_name: str) -> dict[str, str]:
    """Process one stored webhook, if that is due; an unknown one is logged and not tried again."""
    model = model_of(app_label, model_name, AbstractWebhookEvent)
    with run_slot.running(f"webhook {webhook_event_id}", limit=80):
        return {"outcome": process(model, webhook_event_id)}


@shared_task(base=PeriodicTask, name="integrations.tasks.process_received_webhooks", time_limit=300)
def process_received_webhooks() -> dict[str, int]:
    """Ask for stored webhooks that are due: lost hints, dead workers, failures; scheduled by beat. Returns counts."""
    return request_processing()


@shared_task(bind=True, base=SlowTask, name="integrations.tasks.execute_adapter_method", time_limit=300)
def execute_adapter_method(
    self: Task,
    connection_id: int,
    method_name: str,
    app_label: str,
    model_name: str,
    method_args: list[Any] | None = None,
    method_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Call one exported method of a connection's adapter. Nothing happens if it is not operational.

    What it returns is returned as JSON to whoever calls this function in their own process; a worker forgets it:
    Celery would write it into its log.
    """
    named = (connection_id, method_name, app_label, model_name)
    with run_slot.running(f"call of connection {connection_id}", limit=300):
        found = call_adapter_method(*named, method_args or (), method_kwargs)
    return found if self.request.called_directly or self.request.is_eager else None


@shared_task(base=SlowTask, name="integrations.tasks.incremental_sync", time_limit=600)
def incremental_sync(
    connection_id: int,
    resource_type: str,
    app_label: str,
    model_name: str,
    sync_state_app: str,
    sync_state_model: str,
) -> dict[str, int | str]:
    """Pull what is new, to the end of the list; the items go to the handler (docs/pull.md). Returns counts."""
    request = Request(connection_id, resource_type, app_label, model_name, sync_state_app, sync_state_model)
    with run_slot.running(f"pull of connection {connection_id}", limit=600):
        return pull_by_name(request).answer()


@shared_task(base=SlowTask, name="integrations.tasks.full_resync", time_limit=600)
def full_resync(
    connection_id: int,
    resource_type: str,
    app_label: str,
    model_name: str,
    sync_state_app: str,
    sync_state_model: str,
    is_continued: bool = False,
) -> dict[str, int | str]:
    """Pull everything, from the beginning; `is_continued`: go on with that. Returns counts."""
    request = Request(connection_id, resource_type, app_label, model_name, sync_state_app, sync_state_model)
    with run_slot.running(f"pull of connection {connection_id}", limit=600):
        return pull_by_name(request, is_full_resync=True, is_continued=is_continued).answer()


@shared_task(base=PeriodicTask, name="integrations.tasks.pull_due", time_limit=300)
def pull_due() -> dict[str, int]:
    """Ask for the scheduled pulls that are due; scheduled by beat. Returns counts."""
    return request_pulls()


@shared_task(base=SlowTask, name="integrations.tasks.pull_one", time_limit=600)
def pull_one(sync_state_id: int) -> dict[str, int | str]:
    """Pull one scheduled state, if it is due. Returns counts."""
    with run_slot.running(f"pull {sync_state_id}", limit=600):
        return pull_one_state(sync_state_id).answer()


@shared_task(base=PeriodicTask, name="integrations.tasks.run_jobs", time_limit=300)
def run_jobs() -> dict[str, int]:
    """Ask for the replays and backfills that nobody works on; scheduled by beat. Returns counts."""
    return request_jobs()


@shared_task(base=SlowTask, name="integrations.tasks.run_job", time_limit=120)
def run_job(job_id: int) -> dict[str, str]:
    """Work on one replay or backfill for one turn."""
    with run_slot.running(f"job {job_id}", limit=90):
        return {"outcome": take_turn(job_id)}
