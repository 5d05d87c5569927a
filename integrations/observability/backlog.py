"""What waits to be delivered just now, asked of the outbox's partial indexes within bounds, whatever the history.

Written out, with constants as literals and in an index's order: PostgreSQL must not take a plan that goes through the
history (delivery/statements.py says why).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import F, Min, OuterRef, Q, Subquery
from django.db.models.functions import Now

from integrations.database.sql import seconds_until
from integrations.delivery.models import Lane
from integrations.delivery.statements import INTEGRATION, LANE, OLDEST, SOONEST, SYNC, due, is_not_stopped, is_rested
from integrations.outbox.models import IntegrationSync, of_lane
from integrations.statistics.reading import stored_keys

USING = "default"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits.

    Attributes:
        count: deliveries that wait for their first try or for a retry.
        is_more: there are more than that; they were counted up to a limit.
        due_for: since how many seconds the oldest is due in a lane that nothing holds back; None: none is.
        integration, name: that one's integration: its `public_id`, its name.
    """

    count: int
    is_more: bool = False
    due_for: float | None = None
    integration: UUID | None = None
    name: str = ""


def backlog(most: int, tenants: Sequence[Any] | None = None) -> Backlog:
    """Return what waits, counted up to `most`.

    Args:
        tenants: the keys of those that are asked about; None: all.
    """
    waiting = count_waiting(most + 1, tenants)
    if not waiting:
        return Backlog(0)
    count, is_more = min(waiting, most), waiting > most
    # The oldest of the first rows of each lane: of those that may go now, as the sweep asks it.
    firsts, keys = _first_rows(tenants)
    since = f"-{seconds_until(connections[USING].vendor, 'due')}"
    select = f"SELECT {since}, public_id, name FROM o WHERE due IS NOT NULL ORDER BY due LIMIT 1"  # noqa: S608
    oldest = _one(f"{firsts} {select}", keys)
    if oldest is None:
        return Backlog(count, is_more)
    due_for, public_id, name = oldest
    return Backlog(count, is_more, due_for, UUID(str(public_id)), name)  # SQLite has it as text


def count_waiting(most: int, tenants: Sequence[Any] | None = None) -> int:
    """Return how many deliveries wait, at most `most`; for `tenants` see `backlog`."""
    mine, keys = _mine("s.integration_id", tenants)
    some = (
        f"SELECT s.id FROM {SYNC} s WHERE s.status = 'pending'{mine} "  # noqa: S608 - our own names
        f"ORDER BY s.integration_id, s.object_key, s.id LIMIT {int(most)}"
    )
    return int(_one(f"SELECT count(*) FROM ({some}) w", keys)[0])  # noqa: S608


def late_lanes(seconds: float, most: int) -> dict[int, float]:
    """Return {integration: since how many seconds its oldest delivery is due} of lanes that are late by more than
    `seconds` although nothing holds them back; the latest `most`."""
    firsts, keys = _first_rows(None)
    due_for = f"-{seconds_until(connections[USING].vendor, 'due')}"
    with connections[USING].cursor() as cursor:
        cursor.execute(
            f"{firsts} SELECT pk, {due_for} FROM o "  # noqa: S608 - our own names
            f"WHERE due IS NOT NULL AND {due_for} > {float(seconds)} "
            f"ORDER BY due LIMIT {int(most)}",
            keys,
        )
        return {pk: float(due) for pk, due in cursor.fetchall()}


def _first_rows(tenants: Sequence[Any] | None) -> tuple[str, list[Any]]:
    """Return the beginning of a statement in which ``o`` has each lane's integration and when its first row was due."""
    vendor = connections[USING].vendor
    mine, keys = _mine("i.id", tenants)
    fresh, retry = (
        f"SELECT s.next_attempt_at FROM {SYNC} s "  # noqa: S608 - our own names
        f"WHERE {due(vendor, kind, lane='i.id', in_order=None)} ORDER BY {order} LIMIT 1"
        for kind, order in (
            ("s.first_failed_at IS NULL", OLDEST),
            ("s.first_failed_at IS NOT NULL", SOONEST),
        )
    )
    # Of everybody's lanes, those that have anything: each is found behind the one before it in the index.
    first = f"SELECT s.integration_id FROM {SYNC} s WHERE s.status = 'pending'"  # noqa: S608
    order = "ORDER BY s.integration_id LIMIT 1"
    next_one = f"{first} AND s.integration_id > waiting.pk {order}"
    waiting = "" if tenants is not None else "JOIN waiting ON waiting.pk = l.integration_id "
    sends = (  # nothing holds it back
        f"i.is_active AND i.is_enabled AND l.deleting_since IS NULL AND {is_rested(vendor, 'l')} "
        f"AND {is_not_stopped('l')}"
    )
    return (
        f"WITH RECURSIVE waiting AS (SELECT ({first} {order}) AS pk UNION ALL "  # noqa: S608
        f"SELECT ({next_one}) FROM waiting WHERE waiting.pk IS NOT NULL), "
        f"w AS MATERIALIZED (SELECT i.id AS pk, i.public_id, i.name, ({fresh}) AS fresh, ({retry}) AS retry "
        f"FROM {LANE} l {waiting}JOIN {INTEGRATION} i ON i.id = l.integration_id WHERE {sends}{mine}), "
        "o AS MATERIALIZED (SELECT pk, public_id, name, "
        "CASE WHEN retry IS NULL OR fresh < retry THEN fresh ELSE retry END AS due FROM w)",
        keys,
    )


def _mine(column: str, tenants: Sequence[Any] | None) -> tuple[str, list[Any]]:
    if tenants is None:
        return "", []
    keys = stored_keys(tenants)
    marks = ", ".join(["%s"] * len(keys)) or "NULL"
    return f" AND {column} IN (SELECT id FROM {INTEGRATION} WHERE tenant_id IN ({marks}))", keys  # noqa: S608


def _one(sql: str, parameters: list[Any]) -> Any:
    with connections[USING].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


def oldest_by_rest() -> dict[str, datetime | None]:
    """Return when the oldest delivery becomes due in lanes that nothing holds back, and in those that rest."""
    pending = Q(of_lane(OuterRef("pk")), status=IntegrationSync.Status.PENDING)
    rows = IntegrationSync.objects.filter(pending).values("next_attempt_at")
    fresh = rows.filter(first_failed_at=None).order_by("integration_id", "id")[:1]
    retry = rows.filter(first_failed_at__isnull=False).order_by("integration_id", "next_attempt_at", "id")[:1]
    lanes = Lane.objects.filter(deleting_since=None, integration__is_active=True, integration__is_enabled=True)
    lanes = lanes.filter(paused_since=None).annotate(
        fresh=Subquery(fresh), retry=Subquery(retry), until=F("paused_until")
    )
    rests = {"free": Q(until=None) | Q(until__lte=Now()), "resting": Q(until__gt=Now())}
    firsts = {
        f"{name}_{column}": Min(column, filter=condition)
        for name, condition in rests.items()
        for column in ("fresh", "retry")
    }
    found: dict[str, datetime | None] = lanes.aggregate(**firsts)
    return {name: min(filter(None, (found[f"{name}_fresh"], found[f"{name}_retry"])), default=None) for name in rests}
