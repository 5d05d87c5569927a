"""Insert events and the syncs that are owed of them, inside the transaction of the change itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from django.db import DataError, connections, models, transaction

from integrations import conf
from integrations.acting import acting
from integrations.database import clock
from integrations.telemetry import tracing
from integrations.telemetry.logs import one_line

from .canonical_json import TRUNCATED, TooLarge, encode, encode_within, sanitise_object
from .models import MAX_ACTOR, IntegrationEvent, IntegrationSync, new_idempotency_key

logger = logging.getLogger("integrations.outbox")

BATCH = 500  # events in one statement
PENDING, SKIPPED = str(IntegrationSync.Status.PENDING), str(IntegrationSync.Status.SKIPPED)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One thing that happened to one object, and who is to hear of it.

    Attributes:
        payload: what subscribers get; anything canonical_json can say.
        is_sanitised: `payload` is made of JSON's own types already.
        minimal: what is sent instead if `payload` cannot be read or stored, or is far larger than MAX_BODY_BYTES.
        integration_ids: the integrations to which it is owed.
        skipped: subscribed integrations whose condition it does not meet: integration → why, for people.
        remarks: the `reason` that is shown on a sync that is owed: integration → text.
        payloads: the expression of an integration that wants another payload than the body; frozen in the row.
        payload_version: of `payload`.
        versions: the older version that an integration gets instead.
        older: version → the JSON object that is sent instead of `payload`.
        idempotency_key: the event's identity; recording the same key again is refused by the database.
        origin_id: the integration that caused it by calling back; None: a person, or the application.
        actor: the name of who did it; "": nobody knows.
        actor_key: the key of their account as text; "": it is none.
        sync_values: other values of columns of its syncs, e.g. a later ``next_attempt_at``.
    """

    tenant_id: Any
    event_type: str
    content_type_id: int
    object_id: str
    payload: dict[str, Any]
    minimal: dict[str, Any]
    integration_ids: list[int] = field(default_factory=list)
    occurred_at: datetime = field(default_factory=clock.now)
    idempotency_key: str = field(default_factory=new_idempotency_key)
    origin_id: int | None = None
    actor: str = field(default_factory=lambda: acting().label)
    actor_key: str = field(default_factory=lambda: acting().key)
    sync_values: Mapping[str, Any] = field(default_factory=dict)
    payloads: dict[int, str] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)
    remarks: dict[int, str] = field(default_factory=dict)
    is_sanitised: bool = False
    payload_version: int = 1
    versions: dict[int, int] = field(default_factory=dict)
    older: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def object_key(self) -> str:
        """The unit of order: events of one object are sent one after the other."""
        return f"{self.content_type_id}:{self.object_id}"

    def rows(self) -> Iterator[tuple[int, str, str]]:
        """Yield (integration, status, reason) of its syncs."""
        for pk in self.integration_ids:
            yield pk, PENDING, self.remarks.get(pk, "")
        for pk, why in self.skipped.items():
            yield pk, SKIPPED, why


def record(occurrences: Sequence[Occurrence], *, using: str = "default") -> list[int]:
    """Insert events and syncs, inside the transaction of the change; return the ids of the events, in the same order.

    One statement on PostgreSQL, two elsewhere, and no savepoint: what a database could refuse is replaced or named
    before it is asked, because a refused statement would spoil the user's transaction.

    Raises:
        ValueError: a name or key is longer than its column.
    """
    if not occurrences:
        return []
    for occurrence in occurrences:
        _refuse_what_does_not_fit(occurrence)
    connection = connections[using]
    if connection.vendor != "postgresql":
        return _insert(occurrences, using)
    connection.ensure_connection()
    if connection.connection.info.parameter_status("server_encoding") == "UTF8":
        return _insert_at_once(occurrences, using)
    # The one refusal that is left: a character which this database's encoding lacks.
    try:
        with transaction.atomic(using=using):
            return _insert_at_once(occurrences, using)
    except DataError:
        logger.warning("the database refused a payload; recording minimal ones instead")
        with transaction.atomic(using=using):
            return _insert_at_once([_minimal(each) for each in occurrences], using)


def _minimal(occurrence: Occurrence) -> Occurrence:
    """Return `occurrence` with the minimal payload in every version."""
    minimal = occurrence.minimal
    return replace(occurrence, payload=minimal, is_sanitised=False, older=dict.fromkeys(occurrence.older, minimal))


def _refuse_what_does_not_fit(occurrence: Occurrence) -> None:
    for name, limit in _LIMITS.items():
        value = getattr(occurrence, name)
        if len(value) > limit:
            raise ValueError(f"{name} of an event has {len(value)} characters, {limit} are allowed: {value[:50]}…")
        if "\0" in value:
            raise ValueError(f"{name} of an event holds a NUL character, which no database stores: {value[:50]!r}")


_COLUMNS: tuple[Any, ...] = tuple(
    IntegrationEvent._meta.get_field(name) for name in ("event_type", "object_id", "idempotency_key")
)
_TENANT: Any = IntegrationEvent._meta.get_field("tenant")
_LIMITS: dict[str, int] = {column.name: column.max_length for column in _COLUMNS}


def _insert(occurrences: Sequence[Occurrence], using: str) -> list[int]:
    older, traceparent = [_older_bodies(each) for each in occurrences], tracing.kept()
    events = IntegrationEvent.objects.using(using).bulk_create(
        [
            IntegrationEvent(
                tenant_id=occurrence.tenant_id,
                event_type=occurrence.event_type,
                content_type_id=occurrence.content_type_id,
                object_id=occurrence.object_id,
                body=body_of(occurrence, occurrence.payload),
                payload_version=occurrence.payload_version,
                occurred_at=occurrence.occurred_at,
                idempotency_key=occurrence.idempotency_key,
                origin_id=occurrence.origin_id,
                actor=_actor(occurrence),
                actor_key=occurrence.actor_key[:64],
                traceparent=traceparent,
            )
            for occurrence in occurrences
        ],
        batch_size=BATCH,
    )
    IntegrationSync.objects.using(using).bulk_create(
        [
            IntegrationSync(
                event=event,
                integration_id=integration_id,
                object_key=occurrence.object_key,
                payload=occurrence.payloads.get(integration_id, ""),
                payload_version=occurrence.versions.get(integration_id),
                older_body=bodies.get(occurrence.versions.get(integration_id), ""),
                status=status,
                reason=reason,
                settled_at=occurrence.occurred_at if status == SKIPPED else None,
                **occurrence.sync_values,
            )
            for occurrence, event, bodies in zip(occurrences, events, older, strict=True)
            for integration_id, status, reason in occurrence.rows()
        ],
        batch_size=BATCH,
    )
    return [event.pk for event in events]


def _older_bodies(occurrence: Occurrence) -> dict[int | None, str]:
    """Return version → body."""
    return {version: body_of(occurrence, payload) for version, payload in occurrence.older.items()}


def _insert_at_once(occurrences: Sequence[Occurrence], using: str) -> list[int]:
    if any(occurrence.sync_values for occurrence in occurrences):  # perhaps expressions
        return _insert(occurrences, using)
    ids: list[int] = []
    tenant_type, traceparent = f"{_TENANT.rel_db_type(connections[using])}[]", tracing.kept()
    with connections[using].cursor() as cursor:
        for start in range(0, len(occurrences), BATCH):
            batch = occurrences[start : start + BATCH]
            rows = [(each, *row) for each in batch for row in each.rows()]
            happened: Columns = {
                "tenant_id": (tenant_type, [str(each.tenant_id) for each in batch]),
                "event_type": ("text[]", [each.event_type for each in batch]),
                "content_type_id": ("int[]", [each.content_type_id for each in batch]),
                "object_id": ("text[]", [each.object_id for each in batch]),
                "body": ("text[]", [body_of(each, each.payload) for each in batch]),
                "occurred_at": ("timestamptz[]", [each.occurred_at.isoformat() for each in batch]),
                "idempotency_key": ("text[]", [each.idempotency_key for each in batch]),
                "origin_id": ("bigint[]", [each.origin_id for each in batch]),
                "actor": ("text[]", [_actor(each) for each in batch]),
                "actor_key": ("text[]", [each.actor_key[:64] for each in batch]),
            }
            owed: Columns = {
                "idempotency_key": ("text[]", [each.idempotency_key for each, *_ in rows]),
                "integration_id": ("bigint[]", [pk for _, pk, *_ in rows]),
            }
            # The usual statement knows nothing of these, and costs what it did.
            if any(each.payloads for each in batch):
                owed["payload"] = "text[]", [each.payloads.get(pk, "") for each, pk, _, _ in rows]
            if any(each.skipped or each.remarks for each in batch):
                owed["status"] = "text[]", [status for _, _, status, _ in rows]
                owed["reason"] = "text[]", [reason for *_, reason in rows]
            if any(each.payload_version != 1 for each in batch):
                happened["payload_version"] = "int[]", [each.payload_version for each in batch]
                versions = [each.versions.get(pk) for each, pk, *_ in rows]
                bodies = {each.idempotency_key: _older_bodies(each) for each in batch}
                older = [bodies[row[0].idempotency_key].get(n, "") for row, n in zip(rows, versions, strict=True)]
                owed |= {"payload_version": ("int[]", versions), "older_body": ("text[]", older)}
            if traceparent:
                happened["traceparent"] = "text[]", [traceparent] * len(batch)
            sql = _at_once_sql(_types(happened), _types(owed))
            cursor.execute(sql, [_array(values) for _, values in (*happened.values(), *owed.values())])
            id_of = {key: pk for pk, key in cursor.fetchall()}
            ids += [id_of[each.idempotency_key] for each in batch]
    return ids


Columns = dict[str, tuple[str, "Sequence[str | int | None]"]]  # column → its type, and its values
Types = tuple[tuple[str, str], ...]  # columns and their types


def _types(columns: Columns) -> Types:
    return tuple([(name, kind) for name, (kind, _) in columns.items()])


def _actor(occurrence: Occurrence) -> str:
    return occurrence.actor[:MAX_ACTOR].replace("\0", "\ufffd")


def _array(values: Iterable[str | int | None]) -> str:
    """Return an array as PostgreSQL reads it.

    As text, whose type is always the same: a list of numbers is of another type as soon as one of them is larger, and
    the statement would be planned anew. It is also several times as fast as the driver's way of quoting.
    """
    return "{" + ",".join(map(_quoted, values)) + "}"


def _quoted(value: str | int | None) -> str:
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return "NULL" if value is None else str(int(value))


@cache
def _at_once_sql(happened: Types, owed: Types) -> str:
    """Return the statement: events in the order of the arrays, so that their ids ascend, and a sync for each pair."""
    happens, owes = (", ".join(name for name, _ in columns) for columns in (happened, owed))
    of_events, of_syncs = (", ".join(f"%s::{kind}" for _, kind in columns) for columns in (happened, owed))
    columns = _constants(IntegrationSync, {"event", "integration", "object_key"})
    columns |= {name: f"new.{name}" for name, _ in owed if name not in ("idempotency_key", "integration_id")}
    if columns["status"] == "new.status":
        columns["settled_at"] = f"CASE new.status WHEN '{SKIPPED}' THEN happened.occurred_at END"
    return f"""
        WITH happened AS (
            INSERT INTO {IntegrationEvent._meta.db_table} ({happens})
            SELECT {happens}
            FROM unnest({of_events}) WITH ORDINALITY AS new ({happens}, n)
            ORDER BY n
            RETURNING id, idempotency_key, content_type_id, object_id, occurred_at
        ), owed AS (
            INSERT INTO {IntegrationSync._meta.db_table} (
                event_id, integration_id, object_key, {", ".join(columns)}
            )
            SELECT happened.id, new.integration_id, happened.content_type_id || ':' || happened.object_id,
                {", ".join(columns.values())}
            FROM unnest({of_syncs}) WITH ORDINALITY AS new ({owes}, n)
            JOIN happened USING (idempotency_key)
            ORDER BY new.n
        )
        SELECT id, idempotency_key FROM happened
    """  # noqa: S608 - our own names and constants


def _constants(model: type[models.Model], given: set[str]) -> dict[str, str]:
    """Return the columns that need a value beside the `given` ones, with their defaults as SQL literals."""
    literals: dict[str, str] = {}
    column: Any
    for column in model._meta.concrete_fields:
        has_value = column.name in given or column.primary_key or column.has_db_default() or column.null
        if not has_value:
            value = column.get_default()
            text = str(value).replace("'", "''")
            literals[column.column] = str(value) if isinstance(value, int) else f"'{text}'"
    return literals


def body_of(occurrence: Occurrence, payload: dict[str, Any]) -> str:
    """Return `payload` of `occurrence` as the text that is stored and sent; the minimal one if it cannot be read."""
    limit = conf.MAX_BODY_BYTES
    try:
        if not occurrence.is_sanitised:
            payload = sanitise_object(payload, limit=limit)
        text, cut = encode_within(payload, limit)
    except TooLarge:
        text, cut = None, []
    except Exception:  # a value that raises when it is read must cost neither the change nor the event
        logger.warning("a value of a payload cannot be read; a minimal event is sent", exc_info=True)
        return encode(occurrence.minimal)
    named = (occurrence.event_type, occurrence.object_key, limit)
    if text is None:
        logger.warning("payload of %s for object %s is far larger than %s bytes; a minimal one is sent", *named)
        missing = [str(name) for name, value in payload.items() if occurrence.minimal.get(name) != value]
        return encode({**occurrence.minimal, TRUNCATED: missing})
    if cut:
        logger.warning(
            "payload of %s for object %s is larger than %s bytes; cut: %s", *named, one_line(", ".join(cut[:20]))
        )
    return text
