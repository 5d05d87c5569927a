"""Store what a provider told us, once, before anything is done with it.

A delivery is known by ``<connection>:<the provider's id, or a digest>``, a call of an inbound action that has an id by
``<connection>/<action>:<id>``. Whoever inserts that key first has stored it;
everybody else counts a copy on his row. What was stored is announced and hinted at after the commit, and processed by a
worker; the sweep finds it if the hint is lost.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.db import IntegrityError, connections, router, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from integrations import conf
from integrations.connections.abstract import AbstractConnection
from integrations.connections.registered import model_of
from integrations.connectors.incoming import ContentRefused
from integrations.connectors.registry import ConnectorRegistry
from integrations.database.times import after
from integrations.delivery.hints import QUEUE, SLOW_QUEUE, send_hint
from integrations.errors import IntegrationError
from integrations.lifecycle import announce, webhook_event_received
from integrations.transport import signing

from . import schemes
from .models import AbstractWebhookEvent
from .stored_headers import MAX_TOTAL, kept_names, storable, storable_start
from .throttle import ALL_REJECTED_PER_MINUTE, REJECTED_PER_MINUTE, is_within

TASK = "integrations.tasks.process_webhook"
MAX_REJECTED_BODY = MAX_REJECTED_HEADERS = 4096  # bytes and characters kept of what nobody vouches for
MAX_ID = 200  # characters; of a longer one, the digest
MAX_OWNER = 180  # the same for what stands before it
MAX_KEY = 255  # the column

# Given up because its workers died; who wants it tried again looks at it first, and asks on its page.
HAS_KILLED = Q(unfinished__gt=0, next_attempt_at=None)

_STORABLE_ID = re.compile(rf"[\x20-\x7e]{{1,{MAX_ID}}}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of a provider.

    Attributes:
        action: the last part of the address; "" if there was none.
        is_call: that is an inbound action, which this connection wants done (`asks_for_action`).
        keeps: names of headers that are stored beside the harmless ones (`kept_names`); None: those of its kind.
        secrets: what must appear in no header that is stored, and in no body that proved nothing: all that is known of
            the connection's.
    """

    connection: AbstractConnection | None
    provider: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    action: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    is_call: bool = False
    keeps: frozenset[str] | None = None


def webhook_event_model() -> type[AbstractWebhookEvent]:
    """Return the model in which the built-in view stores (WEBHOOK_EVENT_MODEL)."""
    label, _, name = str(conf.WEBHOOK_EVENT_MODEL).partition(".")
    return model_of(label, name, AbstractWebhookEvent)


def store(
    model: type[AbstractWebhookEvent],
    delivery: Delivery,
    payload: Mapping[str, Any],
    *,
    event_type: str = "",
    event_id: str = "",
) -> AbstractWebhookEvent:
    """Store a delivery whose signature is proven; return its row, or that of its first copy (`is_duplicate`).

    Safe for any number of callers at once, inside and outside of a transaction. A copy of one that failed is a wish to
    try it now, and of one that was given up, to try it once more: a person pressed *Redeliver* at the provider's. Of
    one that was given up because its workers died it is counted, and nothing more: providers send again by themselves.

    Args:
        event_id: the provider's id of the delivery; "": the body tells copies apart.

    Raises:
        ContentRefused: the body of a call names another action than its address.
    """
    if delivery.is_call and payload.get("action", delivery.action) != delivery.action:
        # The address is not signed: so nobody can send an overheard body to another one.
        raise ContentRefused(f'action: must be "{delivery.action}", as in the address, or be left out.')
    using = router.db_for_write(model)
    rows = model._base_manager.using(using)
    key = _key(delivery, event_id)
    columns = {
        **_columns(delivery),
        "idempotency_key": key,
        "event_type": cut(event_type, 100),
        "body": delivery.body,
        "payload": payload,
        "signature_valid": True,
        "next_attempt_at": Now(),
    }
    event = _inserted(rows, columns)
    while event is None:
        with transaction.atomic(using=using):
            if not event_id and _forget_copy(rows, key):
                event = _inserted(rows, columns)
            elif copied := _copy(rows, key):
                return copied
            else:  # it was purged just now
                event = _inserted(rows, columns)
    event.refresh_from_db(fields=["next_attempt_at", "received_at"])
    announce(webhook_event_received, model, using=using, webhook_event=event, **described(delivery.connection, event))
    _hint(model, event.pk, using)
    return event


def _inserted(rows: QuerySet[Any], columns: Mapping[str, Any]) -> AbstractWebhookEvent | None:
    """Insert it; return None if another row has its key."""
    try:
        with transaction.atomic(using=rows.db):
            created: AbstractWebhookEvent = rows.create(**columns)
            return created
    except IntegrityError:
        if not rows.filter(idempotency_key=columns["idempotency_key"]).exists():
            raise  # not the key: the connection was deleted meanwhile
        return None


def _forget_copy(rows: QuerySet[Any], key: str) -> bool:
    """Give the key of a digest free if its row came long enough ago, and nothing is left to do with it.

    The same words minutes later are no copy but a new wish: without an id nothing else could tell.
    """
    done = rows.filter(idempotency_key=key, next_attempt_at=None, received_at__lte=after(-conf.INBOUND_COPY_SECONDS))
    done = done.exclude(HAS_KILLED)
    return bool(done.update(idempotency_key=f"past:{uuid.uuid4().hex}"))


def _copy(rows: QuerySet[Any], key: str) -> AbstractWebhookEvent | None:
    """Count one more copy of the row with that key, and have the row tried now if it failed or was given up.

    Not if it was given up because its workers died.

    Return the row; None if it is gone.
    """
    model = rows.model
    copied = rows.filter(idempotency_key=key)
    copied.update(duplicates=F("duplicates") + 1)
    failed = Q(status=model.Status.FAILED, signature_valid=True)
    # Processed, but some receiver never heard of it.
    untold = ~Q(error="") & Q(status=model.Status.PROCESSED, announced_at=None, next_attempt_at=None)
    if copied.filter(failed | untold).exclude(HAS_KILLED).update(next_attempt_at=Now()):
        _hint(model, copied.values_list("pk", flat=True)[0], rows.db, is_slow=True)
    event: AbstractWebhookEvent | None = copied.first()
    if event is not None:
        event.is_duplicate = True
    return event


def store_rejected(model: type[AbstractWebhookEvent], delivery: Delivery, reason: str) -> AbstractWebhookEvent:
    """Keep a trace of a delivery that proved nothing: capped, few a minute, never processed, never announced.

    Its key is its own, so that a forger cannot take the place of a true delivery.

    Returns:
        The row; one without a primary key when enough of them were stored in this minute.
    """
    using = router.db_for_write(model)
    event = model(
        **_columns(delivery, MAX_REJECTED_HEADERS),
        idempotency_key=f"rejected:{uuid.uuid4().hex}",
        body=storable_start(delivery.body, delivery.secrets, MAX_REJECTED_BODY),
        signature_valid=False,
        status=model.Status.FAILED,
        error=f"{schemes.REASONS.get(reason, 'The signature could not be verified.')} ({reason})",
    )
    is_rare = is_within("rejected", delivery.connection, REJECTED_PER_MINUTE, if_unknown=False)
    if is_rare and is_within("rejected", None, ALL_REJECTED_PER_MINUTE, if_unknown=False):
        event.save(using=using)
    return event


def described(connection: AbstractConnection | None, event: AbstractWebhookEvent) -> dict[str, Any]:
    """Return what both signals say of where a webhook came from."""
    return {
        "connection": connection,
        "provider_family": connection.provider_family if connection is not None else "",
        "provider_name": connection.provider_name if connection is not None else event.provider,
    }


def cut(text: str, length: int) -> str:
    """Return `text` as a column of that length takes it."""
    return "".join(char if char.isprintable() else " " for char in text)[:length]


def _columns(delivery: Delivery, max_headers: int = MAX_TOTAL) -> dict[str, Any]:
    return {
        "connection": delivery.connection,
        "provider": cut(delivery.provider, 50),
        "action": cut(delivery.action, 100),
        "headers": storable(delivery.headers, delivery.secrets, max_headers, keeps=_keeps(delivery)),
    }


def _keeps(delivery: Delivery) -> frozenset[str]:
    if delivery.keeps is not None:
        return delivery.keeps
    try:
        if delivery.connection is not None:  # people may choose how a workflow of theirs calls back
            return kept_names(delivery.connection.get_receiver().inbound)
        return kept_names(ConnectorRegistry.type_of(delivery.provider).manifest.inbound)
    except IntegrationError:
        return kept_names(None)


def _key(delivery: Delivery, event_id: str) -> str:
    """Return the column that tells copies apart; no two owners, and no two actions, share a beginning."""
    owner = "@" + quote(delivery.provider, safe="")  # no connection's key has such a sign when it is quoted
    if delivery.connection is not None:
        owner = quote(str(delivery.connection.pk), safe="")
    if not event_id:
        # The same words to another address are a copy: the address is not signed.
        return f"{_short(owner)}:{_digest(delivery.body)}"
    if delivery.is_call:  # a workflow may make one id of one event, and ask for two things
        owner = f"{owner}/{quote(delivery.action, safe='')}"
    told = event_id if _STORABLE_ID.fullmatch(event_id) else ""
    key = f"{_short(owner)}:{told}"
    if told and len(key) <= MAX_KEY:
        return key
    return f"{_short(owner)}:{_digest(event_id.encode('utf-8', 'surrogatepass'))}"


def copy_id(scheme: str, event_id: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return what tells copies of a delivery apart: its id and, if that stands in an unsigned header, the body too.

    Else an old body, sent on under the id of a delivery that is still to come, would take its place.
    """
    is_signed = scheme.startswith("standard-webhooks") and event_id == signing.message_id_in(headers)
    if is_signed or not event_id or event_id not in headers.values():
        return event_id
    return f"{event_id}-{_digest(body)[:16]}"


def _short(owner: str) -> str:
    return owner if len(owner) <= MAX_OWNER else "=" + _digest(owner.encode())


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def hint(model: type[AbstractWebhookEvent], pk: Any, *, is_slow: bool = False) -> bool:
    """Ask a worker to process one row; see `send_hint`.

    Args:
        is_slow: on the slow queue, for what was tried before.
    """
    message = {"webhook_event_id": pk, "app_label": model._meta.app_label, "model_name": model._meta.object_name}
    return send_hint(TASK, message, SLOW_QUEUE if is_slow else QUEUE)


def _hint(model: type[AbstractWebhookEvent], pk: Any, using: str, *, is_slow: bool = False) -> None:
    """Tell a worker once the row is durable."""

    def hint_after_commit() -> None:
        hint(model, pk, is_slow=is_slow)

    connections[using].on_commit(hint_after_commit, robust=True)
