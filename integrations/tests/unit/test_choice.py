"""Which rows start, and in what order: every state of four rows, against the rule in words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from integrations.delivery.choice import FRESH, RETRY, SUSPECT, DueRow, Found, chains, order_of_starts, suspect

HOLD = 2.0


def row(pk: int, key: str = "a", due_in: float = -1.0, failed_ago: float | None = None, **more: Any) -> DueRow:
    """A row as it is read now: due in so many seconds, first failed so many seconds ago."""
    made = DueRow(
        id=pk,
        object_key=key,
        attempts=0 if failed_ago is None else 1,
        generation=0,
        deaths=0,
        age=10.0,
        hold_left=None if failed_ago is None else HOLD - failed_ago,
        is_due=due_in <= 0,
        due_for=-due_in,
        is_cleared=False,
        has_failed=failed_ago is not None,
        event_id=pk,
        event_type="t",
        content_type_id=1,
        object_id=key,
        idempotency_key=f"evt_{pk}",
        body="{}",
    )
    return replace(made, **more)


def is_head(one: DueRow, rows: list[DueRow]) -> bool:
    return not any(o.object_key == one.object_key and o.id < one.id and o.holds() for o in rows)


def found_in(rows: list[DueRow]) -> list[Found]:
    """What statements.rows finds: due heads, and the rows of their objects from there on."""
    found: list[Found] = []
    for head in rows:
        if head.is_due and is_head(head, rows):
            kind = SUSPECT if head.deaths else RETRY if head.has_failed else FRESH
            found += [(kind, head.id, r) for r in rows if r.object_key == head.object_key and r.id >= head.id]
    return found


def states(count: int) -> Iterator[list[DueRow]]:
    one = list(itertools.product("ab", (-1.0, 1.0), (None, 1.0, 3.0)))
    for chosen in itertools.product(one, repeat=count):
        yield [row(pk, key, due, failed) for pk, (key, due, failed) in enumerate(chosen, 1)]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_state_keeps_order_sends_what_may_go_and_never_spins(count: int) -> None:
    for rows in states(count):
        order = [r for chain in chains(found_in(rows), in_order=True) for r in chain]
        sent: set[int] = set()
        for one in order:
            waiting = [r for r in rows if r.object_key == one.object_key and r.id < one.id and r.id not in sent]
            assert not any(r.holds() for r in waiting), (rows, order)  # never past one that holds it back
            assert one.is_due
            sent.add(one.id)
        assert len(sent) == len(order)  # nothing twice
        # The look after giving back asks "is there a due head?": where nothing is sent, it says no.
        assert bool(order) == any(r.is_due and is_head(r, rows) for r in rows)
        assert {r.id for r in rows if r.is_due and is_head(r, rows)} <= sent  # nothing that may go is left


def test_fresh_ones_go_first_and_every_fifth_start_is_a_retry() -> None:
    assert order_of_starts(list("abcdefgh"), list("XYZ")) == list("abcdXefghYZ")
    assert order_of_starts([], list("XY")) == list("XY")
    assert order_of_starts(list("ab"), []) == list("ab")


def test_the_longest_due_retry_goes_first() -> None:
    rows = [row(1, "a", due_in=-1, failed_ago=1), row(2, "b", due_in=-5, failed_ago=1)]
    assert [chain[0].id for chain in chains(found_in(rows), in_order=True)] == [2, 1]


def test_in_any_order_each_row_is_a_chain_of_its_own() -> None:
    found: list[Found] = [(FRESH, 1, row(1)), (FRESH, 2, row(2))]
    assert [[r.id for r in chain] for chain in chains(found, in_order=False)] == [[1], [2]]


def test_a_suspect_waits_for_all_others_but_not_for_ever() -> None:
    rows = [row(1, "a", failed_ago=1, deaths=1), row(2, "b")]
    assert [chain[0].id for chain in chains(found_in(rows), in_order=True)] == [2]
    assert suspect(found_in(rows), is_urgent_only=True) is None
    assert suspect(found_in(rows), is_urgent_only=False) == rows[0]
    long_due = [row(1, "a", due_in=-301, failed_ago=1, deaths=1), row(2, "b")]
    assert suspect(found_in(long_due), is_urgent_only=True) == long_due[0]


def test_a_suspect_holds_back_its_own_object() -> None:
    rows = [row(1, "a", failed_ago=1, deaths=1), row(2, "a"), row(3, "b")]
    assert [[r.id for r in chain] for chain in chains(found_in(rows), in_order=True)] == [[3]]
