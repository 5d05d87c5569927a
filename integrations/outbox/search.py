"""Find the deliveries that a filter chooses, newest first, a page at a time, among very many.

No search reads all of the outbox. What an index has in the wanted order is read from it; what needs a look at each row
looks at so many of the newest ones, and says how far it came: the next page goes on from there.

====================================  =================================================================
chosen by                             read from
====================================  =================================================================
nothing, by who sees all tenants      the primary key
integrations (up to MANY)             ``sync_history`` of each, and the newest of them together; what is pending
                                      of them: ``sync_fresh`` and ``sync_retry``
status failed                         ``sync_failed``
object, webhook-id                    the event's own indexes, which lead to few rows
since, until                          ids: they ascend with the time of recording, which halves its way to them
anything else                         the newest LOOKED_AT rows (of one integration, or of all)
====================================  =================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.expressions import RawSQL

from integrations.database.first_key import keys_between
from integrations.database.stretches import MAX_KEY
from integrations.tenancy.tenant import find_tenant

from .filters import RETRYING, FindObjects, SyncFilter
from .models import IntegrationEvent, IntegrationSync

SIZE = 50  # rows of a page
MANY = 100  # integrations whose histories are read side by side
LOOKED_AT = (20_000, 40_000)  # rows that are looked at, one after the other, until a page is full

SYNC = IntegrationSync._meta.db_table
_FAILED = (str(IntegrationSync.Status.FAILED),)
_PENDING = {str(IntegrationSync.Status.PENDING), RETRYING}
# Of each integration: a name, a condition, an order. "id + 0" is no index's: what is retried must come from
# `sync_retry`, and not from a walk through all of a history.
_PARTS = {
    False: (("n", "", "id"),),
    True: (
        ("f", "AND status = 'pending' AND first_failed_at IS NULL", "id"),
        ("r", "AND status = 'pending' AND first_failed_at IS NOT NULL", "id + 0"),
    ),
}


@dataclass(slots=True)
class Found:
    """One page.

    Attributes:
        rows: newest first.
        older, newer: where the next page begins, on either side; None: there is none.
        looked_at: how many rows were looked at, where the page is not full because no more were; 0: all that there are.
        back_to: when the oldest of those was recorded.
    """

    rows: list[IntegrationSync] = field(default_factory=list)
    older: int | None = None
    newer: int | None = None
    looked_at: int = 0
    back_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose deliveries come into question.

    Attributes:
        keys: of the integrations; None: more than MANY.
        is_all: everybody's, so that no row has to be passed over because it is somebody else's.
    """

    keys: Sequence[int] | None = None
    is_all: bool = False


def search(
    which: SyncFilter,
    visible: QuerySet[IntegrationSync],
    among: Scope,
    *,
    before: int | None = None,
    after: int | None = None,
    find: FindObjects | None = None,
    size: int = SIZE,
) -> Found:
    """Return one page of the deliveries that `which` chooses.

    Args:
        visible: what this person may see; with what the page needs joined.
        among: whose deliveries come into question: `scope_of`.
        before, after: only those with a smaller, or a larger, id.
        find: which objects words mean.
    """
    low, high = keys_between(IntegrationSync, *which.moments())
    rows = visible.filter(which.q(find), pk__gte=low)
    if high < MAX_KEY:
        rows = rows.filter(pk__lt=high)
    if after is not None:
        return _newer_rows(rows, after, size)
    top = min(high, before if before is not None else MAX_KEY)
    found = Found(newer=before - 1 if before is not None else None)
    if _is_direct(which, among):
        if among.keys is not None and not which.object:
            rows = rows.filter(pk__in=_newest_of_each(among.keys, which, low, top, size + 1))
        elif top < MAX_KEY:
            rows = rows.filter(pk__lt=top)
        found.rows = list(rows.order_by("-pk")[: size + 1])
    else:
        _look(found, rows, which, among.keys, low, top, size)
    if len(found.rows) > size:
        del found.rows[size:]
        found.older, found.looked_at, found.back_to = found.rows[-1].pk, 0, None
    if found.rows:
        found.newer = found.rows[0].pk if before is not None else None
    return found


def _is_direct(which: SyncFilter, among: Scope) -> bool:
    """Tell whether an index has what is wanted, in the order in which it is wanted."""
    if which.object:
        return True
    if which.response_status or which.error or which.event_type or (among.keys is None and not among.is_all):
        return False
    if not which.status or set(which.status) <= _PENDING:
        return True
    return among.is_all and which.status == _FAILED


def _newest_of_each(integrations: Sequence[int], which: SyncFilter, low: int, top: int, limit: int) -> Any:
    """Return the ids of the newest rows of each integration; a few index entries for each, whoever owns the rest."""
    if not integrations:
        return []
    parts, parameters = [], []
    for number, pk in enumerate(integrations):
        for letter, condition, order in _PARTS[bool(which.status)]:
            parts.append(
                f"SELECT id FROM (SELECT id FROM {SYNC} WHERE integration_id = %s AND id >= %s AND id < %s "  # noqa: S608
                f"{condition} ORDER BY {order} DESC LIMIT {int(limit)}) AS {letter}{number}"
            )
            parameters += [pk, low, top]
    return RawSQL(" UNION ALL ".join(parts), parameters)  # noqa: S611 - our own names


def _look(
    found: Found,
    rows: QuerySet[IntegrationSync],
    which: SyncFilter,
    integrations: Sequence[int] | None,
    low: int,
    top: int,
    size: int,
) -> None:
    """Fill `found` from the newest rows below `top`, so many at a time."""
    candidates = IntegrationSync.objects.order_by("-pk").filter(pk__gte=low)
    if which.status == _FAILED:
        candidates = candidates.filter(status="failed")
    elif integrations is not None and len(integrations) == 1:
        candidates = candidates.filter(integration=integrations[0])
    for stretch in LOOKED_AT:
        seen = candidates.filter(pk__lt=top)[:stretch].aggregate(
            rows=Count("pk"),
            bottom=Min("pk"),
            back_to=Min("created_at"),
            first_event=Min("event"),
            last_event=Max("event"),
        )
        if seen["rows"]:
            wanted = rows.filter(pk__gte=seen["bottom"], pk__lt=top)
            if which.event_type:  # or PostgreSQL may read all events to find those of a type
                some = IntegrationEvent.objects.filter(pk__gte=seen["first_event"], pk__lte=seen["last_event"])
                wanted = wanted.filter(event__in=some.filter(event_type__in=which.event_type))
            found.rows += wanted.order_by("-pk")[: size + 1 - len(found.rows)]
        if seen["rows"] < stretch:
            found.looked_at, found.back_to, found.older = 0, None, None
            return
        found.looked_at += stretch
        found.back_to = seen["back_to"]
        found.older = top = seen["bottom"]
        if len(found.rows) > size:
            return


def _newer_rows(rows: QuerySet[IntegrationSync], after: int, size: int) -> Found:
    """Return the page just above `after`; it looks at no more rows than a page below would."""
    ids = IntegrationSync.objects.order_by("pk").filter(pk__gt=after).values_list("pk", flat=True)
    last = ids[sum(LOOKED_AT) - 1 : sum(LOOKED_AT)].first()
    above = rows.filter(pk__gt=after) if last is None else rows.filter(pk__gt=after, pk__lte=last)
    up = list(above.order_by("pk")[: size + 1])
    found = Found(rows=up[:size][::-1])
    found.older = found.rows[-1].pk if found.rows else after + 1
    if len(up) > size:
        found.newer = found.rows[0].pk
    elif last is not None:
        found.newer = last
    return found


def scope_of(which: SyncFilter, integrations: QuerySet[Any], tenant_keys: Sequence[Any] | None) -> Scope:
    """Return whose deliveries come into question.

    Args:
        integrations: those that this person may see.
        tenant_keys: of the tenants that are looked at; None: all of them.
    """
    chosen = Q()
    if which.integration is not None:
        chosen &= Q(public_id=which.integration)
    if which.tenant:
        tenant = find_tenant(which.tenant)
        chosen &= Q(tenant=tenant.pk) if tenant is not None else Q(pk__in=[])
    if tenant_keys is not None:
        chosen &= Q(tenant__in=tenant_keys)
    if not chosen:
        return Scope(is_all=True)
    found = list(integrations.filter(chosen).order_by().values_list("pk", flat=True)[: MANY + 1])
    return Scope(found if len(found) <= MANY else None)


def find_events(
    rows: QuerySet[IntegrationEvent], *, event_type: str = "", object_id: str = "", key: str = ""
) -> tuple[QuerySet[IntegrationEvent], bool]:
    """Return those of `rows` that are chosen; and True if no index leads to them, so that the search must be bounded.

    Args:
        object_id: of what they happened to, whatever its model.
        key: the webhook-id.
    """
    if event_type:
        rows = rows.filter(event_type=event_type)
    if object_id:  # the index of an object's history begins with its type
        types = list(ContentType.objects.order_by("pk").values_list("pk", flat=True))
        rows = rows.filter(content_type__in=types, object_id=object_id)
    if key:
        rows = rows.filter(idempotency_key=key)
    return rows, not (object_id or key)
