"""Which rows to start with, and in what order. Pure; the rows come from statements.py, which says what a head is.

    fresh    never failed                     oldest first
    retry    failed, and its time has come    longest due first; every fifth start while fresh ones wait
    suspect  its worker died while sending    alone, when nothing else waits, or once it has waited five minutes

Only heads begin a chain: a row with no earlier pending row of its object, or none whose hold still lasts. What comes
after it in its object rides behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

FRESH, RETRY, SUSPECT = 0, 1, 2  # why a row may be sent: it never failed; its retry is due; its worker died
RETRY_EVERY = 5  # starts
SUSPECT_SECONDS = 300.0  # after this long a suspect row goes before what never ends

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DueRow:
    """One pending row with what its attempt needs; all times by the database's clock, as it was read.

    Attributes:
        attempts: before this one.
        generation: changed by whoever retries the row by hand.
        deaths: attempts in a row whose worker died.
        age: seconds since its retries are counted: since it was made, was to be sent, or was retried by hand.
        hold_left: seconds for which it still holds back its object's later rows; None: it never failed.
        is_due: its time has come.
        due_for: seconds since then.
        is_cleared: the destination has taken something since this row failed last.
        has_failed: it has failed before.
        progress: what attempts before this one have done already, as JSON; "" nothing.
        payload: the expression that makes what is sent of the body (connections/payloads.py); "" the body as it is.
        older_body: what an older version of the payload has in the place of the body; "" the body.
        payload_version: of what is sent.
        traceparent: the span in which its event was recorded; "" there was none.
    """

    id: int
    object_key: str
    attempts: int
    generation: int
    deaths: int
    age: float
    hold_left: float | None
    is_due: bool
    due_for: float
    is_cleared: bool
    has_failed: bool
    event_id: int
    event_type: str
    content_type_id: int
    object_id: str
    idempotency_key: str
    body: str = field(repr=False)
    tenant_id: Any = None
    progress: str = field(default="", repr=False)
    payload: str = field(default="", repr=False)
    older_body: str = field(default="", repr=False)
    payload_version: int = 1
    traceparent: str = ""

    def holds(self, later: float = 0.0) -> bool:
        """Tell whether its object's later rows wait for it, `later` seconds after it was read."""
        return self.hold_left is None or self.hold_left > later


Found = tuple[int, int, DueRow]  # class, id of the head, row


def order_of_starts(fresh: Sequence[T], retries: Sequence[T]) -> list[T]:
    """Return all of both in the order in which they start: every fifth is a retry, as long as there are both.

    Counted by starts: a slice that time cuts short has tried its retries all the same.
    """
    order: list[T] = []
    ahead, behind = iter(fresh), iter(retries)
    for place in range(1, len(fresh) + len(retries) + 1):
        first, second = (behind, ahead) if place % RETRY_EVERY == 0 else (ahead, behind)
        chosen = next(first, None)
        order.append(next(second) if chosen is None else chosen)
    return order


def chains(found: Iterable[Found], *, in_order: bool) -> list[list[DueRow]]:
    """Return the chains to start, in order; the rows of an object ascend within its one chain."""
    heads: tuple[list[DueRow], list[DueRow]] = ([], [])
    rows: dict[str, dict[int, DueRow]] = {}
    for kind, head, row in found:
        if kind == SUSPECT:
            continue
        rows.setdefault(row.object_key if in_order else str(row.id), {})[row.id] = row
        if row.id == head:
            heads[kind].append(row)
    fresh = sorted(heads[FRESH], key=lambda row: row.id)
    retries = sorted(heads[RETRY], key=lambda row: (-row.due_for, row.id))
    order = []
    for row in order_of_starts(fresh, retries):
        chain = rows.pop(row.object_key if in_order else str(row.id), None)
        if chain is not None:  # else its object has started already: a row whose hold is over, and the one after it
            order.append(sendable([chain[pk] for pk in sorted(chain)]))
    return order


def sendable(chain: Sequence[DueRow]) -> list[DueRow]:
    """Return the rows of one object, ascending, up to the first that is not due and holds the others back."""
    rows = []
    for row in chain:
        if row.is_due and not row.deaths:
            rows.append(row)
        elif row.holds():
            break
    return rows


def suspect(found: Iterable[Found], *, is_urgent_only: bool) -> DueRow | None:
    """Return the row to send alone, None if there is none or, with `is_urgent_only`, if it can wait."""
    for kind, head, row in found:
        if kind == SUSPECT and row.id == head:
            return None if is_urgent_only and row.due_for < SUSPECT_SECONDS else row
    return None
