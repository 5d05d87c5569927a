"""The peers' side of a measurement: endpoints, saves, workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from app.bench.cell import Cell

from .apps import EVENT, commits, event_of
from .celery import app, deliver
from .models import Ticket

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
TEXTS = {
    "description": "Screen repair: the glass is cracked, the display still works; customer waits for a call.",
    "comments": "Dropped on concrete. No water damage. Back cover has scratches from before.",
}


@dataclass
class Peer:
    """One design to compare with.

    Attributes:
        set_up: add `count` endpoints.
        queue: put deliveries to endpoint number `n` where its worker finds them, before the worker looks.
        save: create one ticket as an application would.
        start: start its workers; `processes` of them deliver.
        release: let the workers begin with what was queued; returns when they may.
        finished: whether everything is written down.
    """

    set_up: Callable[[Cell, int], None]
    queue: Callable[[int, int], None]
    save: Callable[[str], object]
    start: Callable[[Cell, int], None]
    release: Callable[[], None]
    finished: Callable[[], bool]


def _start_celery(cell: Cell, processes: int) -> None:
    words = ["-m", "celery", "-A", "app.bench.peers.celery", "worker", "--concurrency", str(processes)]
    words += ["-Q", "warm-up", "-n", "peer@bench", "--loglevel", "warning", "--without-gossip", "--without-mingle"]
    if cell.is_sqlite:
        words += ["-P", "threads"]
    cell.workers.append(cell.python("peer", words))
    cell.wait(lambda: bool(app.control.ping(timeout=1.0, limit=1)), "the worker to answer", 60, pause=0.1)


def _release_celery() -> None:
    app.control.add_consumer("due", reply=True, timeout=2.0, limit=1)


# -- django-webhook -----------------------------------------------------------------------------------


def _webhook_set_up(cell: Cell, count: int) -> None:
    from django_webhook.models import Webhook, WebhookSecret, WebhookTopic

    topic, _ = WebhookTopic.objects.get_or_create(name="bench_peers.Ticket/create")
    for number in range(count):
        webhook = Webhook.objects.create(url=cell.receiver.url(f"/hook/{number}"))
        WebhookSecret.objects.create(webhook=webhook, token=SECRET)
        if number == 0:
            webhook.topics.add(topic)  # the others are only sent what is queued


def _webhook_queue(endpoint: int, count: int) -> None:
    import json

    from django_webhook.models import Webhook
    from django_webhook.tasks import fire_webhook

    pk, uuid = Webhook.objects.order_by("id").values_list("id", "uuid")[endpoint]
    for number in range(count):
        ticket = {"id": number, "reference_id": f"{endpoint}-{number}", **TEXTS, "status": "new", "type": "repair"}
        payload = {"object": ticket, "topic": "t", "object_type": "bench_peers.Ticket", "webhook_uuid": str(uuid)}
        fire_webhook.apply_async(
            (pk, json.dumps(payload)), {"topic": "t", "object_type": "bench_peers.Ticket"}, queue="due"
        )


def _webhook_finished() -> bool:
    from django_webhook.models import WebhookEvent

    return not WebhookEvent.objects.exclude(status="SUCCESS").exists()


def _save(reference: str) -> Ticket:
    ticket = Ticket(reference_id=reference, **TEXTS)
    ticket.save()
    return ticket


WEBHOOK = Peer(_webhook_set_up, _webhook_queue, _save, _start_celery, _release_celery, _webhook_finished)


# -- one task for each delivery -----------------------------------------------------------------------

_urls: list[str] = []


def _plain_set_up(cell: Cell, count: int) -> None:
    _urls[:] = [cell.receiver.url(f"/hook/{number}") for number in range(count)]


def _plain_payload(ticket: Ticket) -> dict[str, Any]:
    names = ("id", "reference_id", "description", "status", "type", "priority", "intake_method", "comments")
    return {"event": "created", "ticket": {name: getattr(ticket, name) for name in names}}


def _plain_queue(endpoint: int, count: int) -> None:
    for number in range(count):
        ticket = Ticket(id=number, reference_id=f"{endpoint}-{number}", **TEXTS)
        deliver.apply_async((_urls[endpoint], SECRET, _plain_payload(ticket)), queue="due")


def _plain_save(reference: str) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: commits.__setitem__(reference, time.monotonic_ns()))
        ticket = _save(reference)
        transaction.on_commit(lambda: deliver.delay(_urls[0], SECRET, _plain_payload(ticket)))


PLAIN = Peer(_plain_set_up, _plain_queue, _plain_save, _start_celery, _release_celery, lambda: True)


# -- django-outbound-webhooks -------------------------------------------------------------------------

_hold: list[Any] = []


def _outbound_set_up(cell: Cell, count: int) -> None:
    from django_outbound_webhooks import register_endpoint

    for number in range(count):
        register_endpoint(
            name=f"Bench {number}",
            url=cell.receiver.url(f"/hook/{number}"),
            secret=SECRET,
            event_names=[EVENT],
        )


def _outbound_queue(endpoint: int, count: int) -> None:
    """Every event goes to every endpoint, so that of the first one makes those of all; seen after `release`."""
    from django_domain_events import fire

    if endpoint:
        return
    if not _hold:
        _hold.append(transaction.atomic())
        _hold[0].__enter__()
    for number in range(count):
        fire(event_of(Ticket(id=number, reference_id=f"0-{number}", **TEXTS)))


def _outbound_release() -> None:
    _hold.pop().__exit__(None, None, None)


def _outbound_save(reference: str) -> None:
    from django_domain_events import fire

    with transaction.atomic():
        transaction.on_commit(lambda: commits.__setitem__(reference, time.monotonic_ns()))
        ticket = _save(reference)
        fire(event_of(ticket))


def _outbound_start(cell: Cell, processes: int) -> None:
    for number in range(processes):
        name = f"relay{number}"
        words = ["manage.py", "deliver_events", "--settings", "app.bench.peers.settings", "--worker-id", name]
        cell.workers.append(cell.python(name, words))
    # A first delivery shows that they work; both have started when the second is that far.
    before = cell.receiver.count()
    _outbound_save("warm-up")
    with suppress(KeyError):
        del commits["warm-up"]
    cell.wait(lambda: cell.receiver.count() > before, "the relay's first delivery", 60, pause=0.1)
    time.sleep(1.0 if processes > 1 else 0.2)
    connection.close()


def _outbound_finished() -> bool:
    from django_domain_events.models.delivery_record import DeliveryRecord

    return not DeliveryRecord.objects.exclude(status="succeeded").exists()


OUTBOUND = Peer(
    _outbound_set_up, _outbound_queue, _outbound_save, _outbound_start, _outbound_release, _outbound_finished
)

PEERS = {"webhook": WEBHOOK, "plain": PLAIN, "outbound": OUTBOUND}
