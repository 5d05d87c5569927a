"""Write down what happened and what we owe, inside the transaction of the change itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DataError, transaction

from integrations import clock, conf

from .canonical_json import encode
from .models import IntegrationEvent, IntegrationSync, new_idempotency_key

logger = logging.getLogger("integrations.outbox")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One thing that happened to one object, and who is to hear of it.

    Attributes:
        payload: what subscribers get; anything canonical_json can say.
        minimal: what is sent instead if `payload` cannot be stored or is larger than MAX_BODY_BYTES.
        integration_ids: the subscribed integrations of the tenant.
        idempotency_key: the event's identity; recording the same key again is refused by the database.
        origin_id: the integration that caused it by calling back; None: a person, or the application.
        sync_values: columns of its syncs that are not as usual, e.g. a later ``next_attempt_at``.
    """

    tenant_id: int
    event_type: str
    content_type_id: int
    object_id: str
    payload: dict[str, Any]
    minimal: dict[str, Any]
    integration_ids: Sequence[int]
    occurred_at: datetime = field(default_factory=clock.now)
    idempotency_key: str = field(default_factory=new_idempotency_key)
    origin_id: int | None = None
    sync_values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def object_key(self) -> str:
        """The unit of order: events of one object are sent one after the other."""
        return f"{self.content_type_id}:{self.object_id}"


def record(occurrences: Sequence[Occurrence], *, using: str = "default") -> list[IntegrationEvent]:
    """Insert events and syncs: two statements.

    Must run inside the transaction of the change. Rows that the database refuses because of their data are
    tried once more with the minimal payload; any other failure is the transaction's own, and raised.
    """
    if not occurrences:
        return []
    try:
        with transaction.atomic(using=using):
            return _insert(occurrences, _body, using)
    except DataError:
        logger.warning("the database refused a payload; recording minimal ones instead")
        with transaction.atomic(using=using):
            return _insert(occurrences, lambda occurrence: encode(occurrence.minimal), using)


def _insert(occurrences: Sequence[Occurrence], body: Callable[[Occurrence], str], using: str) -> list[IntegrationEvent]:
    events = IntegrationEvent.objects.using(using).bulk_create(
        [
            IntegrationEvent(
                tenant_id=occurrence.tenant_id,
                event_type=occurrence.event_type,
                content_type_id=occurrence.content_type_id,
                object_id=occurrence.object_id,
                body=body(occurrence),
                occurred_at=occurrence.occurred_at,
                idempotency_key=occurrence.idempotency_key,
                origin_id=occurrence.origin_id,
            )
            for occurrence in occurrences
        ],
        batch_size=500,
    )
    IntegrationSync.objects.using(using).bulk_create(
        [
            IntegrationSync(
                event=event,
                integration_id=integration_id,
                object_key=occurrence.object_key,
                **occurrence.sync_values,
            )
            for occurrence, event in zip(occurrences, events, strict=True)
            for integration_id in occurrence.integration_ids
        ],
        batch_size=500,
    )
    return events


def _body(occurrence: Occurrence) -> str:
    text = encode(occurrence.payload)
    if len(text) <= conf.MAX_BODY_BYTES and len(text.encode()) <= conf.MAX_BODY_BYTES:
        return text
    logger.warning(
        "payload of %s for object %s is larger than %s bytes; a minimal one is sent",
        occurrence.event_type,
        occurrence.object_key,
        conf.MAX_BODY_BYTES,
    )
    return encode({**occurrence.minimal, "truncated": True})
