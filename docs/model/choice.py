"""Try the choice of rows (docs/adr/0022, "Who may be sent") on every state of up to four rows.

A small statement of the rule, apart from the code's: heads, fresh before failed, every fifth start one that failed,
later rows behind their head, suspects alone and last. Checked on each state, for several limits and counts of starts:

    order       no row is sent while an earlier one of its object waits, unless that one's hold is over or it goes first
    stuck       if any head is due, something is chosen
    busy loop   "is anything due?" is true exactly when something is chosen
    alone       a row that may have killed its worker is sent by itself, and only when nothing else can be
    limit       never more rows than asked for, none twice
    share       with fresh rows without end, a failed head that is due starts within five starts
    end         if everything sent is taken, all that is due goes, and no choice is empty before

Rules with one thing done wrong must be caught.  ``python choice.py`` exits with 1 otherwise.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

EVERY = 5  # each fifth start is a head that failed before


@dataclass(frozen=True)
class Row:
    """One pending row; its place in the list is its id, and times are relative to the database's now."""

    key: int  # the object
    due_in: int = 0  # due if <= 0
    has_failed: bool = False
    hold_is_over: bool = False
    deaths: int = 0


Rows = tuple[Row, ...]
Choose = Callable[[Rows, int, int], list[int]]  # rows, limit, starts so far; the ids in the order of sending


def is_head(rows: Rows, i: int) -> bool:
    """Tell whether row `i` is due and nothing earlier of its object holds it back."""
    return rows[i].due_in <= 0 and all(row.key != rows[i].key or row.hold_is_over for row in rows[:i])


def anything_due(rows: Rows) -> bool:
    """The question of the look and of the sweep."""
    return any(is_head(rows, i) for i in range(len(rows)))


def chain(rows: Rows, head: int) -> list[int]:
    """The head and what may ride behind it: due, no suspect, and never past one of its object that has to wait."""
    ids = [head]
    for i in range(head + 1, len(rows)):
        row = rows[i]
        if row.key != rows[head].key:
            continue
        if row.due_in <= 0 and not row.deaths:
            ids.append(i)
        elif not row.hold_is_over:
            break
    return ids


def choose(rows: Rows, limit: int, starts: int) -> list[int]:
    """The rule."""
    heads = [i for i in range(len(rows)) if is_head(rows, i)]
    fresh = [i for i in heads if not rows[i].deaths and not rows[i].has_failed]
    failed = sorted((i for i in heads if not rows[i].deaths and rows[i].has_failed), key=lambda i: (rows[i].due_in, i))
    chosen: list[int] = []
    while (fresh or failed) and len(chosen) < limit:
        takes_failed = bool(failed) and (not fresh or starts % EVERY == EVERY - 1)
        head = (failed if takes_failed else fresh).pop(0)
        if head in chosen:
            continue  # rode behind an earlier head of its object, whose hold is over
        starts += 1
        chosen += [i for i in chain(rows, head) if i not in chosen][: limit - len(chosen)]
    if chosen:
        return in_order_of_object(rows, chosen)
    suspects = sorted((i for i in heads if rows[i].deaths), key=lambda i: (rows[i].deaths, rows[i].due_in, i))
    return suspects[:1]


def in_order_of_object(rows: Rows, chosen: list[int]) -> list[int]:
    """Keep the places, but let the rows of one object stand in them by id.

    An object may have two heads (the hold of the first is over): the later one, if fresh, starts first.
    """
    queues = {rows[i].key: iter(sorted(j for j in chosen if rows[j].key == rows[i].key)) for i in chosen}
    return [next(queues[rows[i].key]) for i in chosen]


def faults(rule: Choose, asks: Callable[[Rows], bool], rows: Rows, limit: int, starts: int) -> Iterator[str]:
    """Name what the rule does wrong in this state."""
    chosen = rule(rows, limit, starts)
    if len(chosen) > limit or len(set(chosen)) < len(chosen):
        yield "limit"
    for place, i in enumerate(chosen):
        before = set(chosen[:place])
        if any(row.key == rows[i].key and not row.hold_is_over and j not in before for j, row in enumerate(rows[:i])):
            yield "order"
        if any(rows[j].key == rows[i].key and j > i for j in before):
            yield "order"
    if any(rows[i].deaths for i in chosen) and (
        len(chosen) > 1 or any(is_head(rows, i) and not row.deaths for i, row in enumerate(rows))
    ):
        yield "alone"
    if anything_due(rows) and not chosen:
        yield "stuck"
    if asks(rows) != bool(chosen):
        yield "busy loop"
    left, turns = rows, 0
    while asks(left) and turns <= len(rows):
        sent = set(rule(left, limit, starts))
        left = tuple(row for i, row in enumerate(left) if i not in sent)
        turns += 1
    if anything_due(left):
        yield "end"


def starves(rule: Choose) -> bool:
    """Tell whether a failed head waits more than EVERY starts beside fresh rows without end, one row a slice."""
    failed = Row(0, -1, has_failed=True)
    for starts in range(EVERY):
        rows: Rows = (failed, *(Row(key) for key in range(1, 4)))
        if not any(0 in rule(rows, 1, starts + turn) for turn in range(EVERY)):
            return True
    return False


def states(count: int) -> Iterator[Rows]:
    """Every state of `count` rows, objects up to renaming."""
    one = [
        Row(0),
        Row(0, deaths=1),
        Row(0, due_in=1),
        Row(0, due_in=-2, has_failed=True),
        Row(0, due_in=-1, has_failed=True),
        Row(0, due_in=-1, has_failed=True, deaths=1),
        Row(0, due_in=-1, has_failed=True, hold_is_over=True),
        Row(0, due_in=1, has_failed=True),
        Row(0, due_in=1, has_failed=True, hold_is_over=True),
    ]
    for keys in itertools.product(range(count), repeat=count):
        if any(key > max(keys[:i], default=-1) + 1 for i, key in enumerate(keys)):
            continue
        for rows in itertools.product(one, repeat=count):
            yield tuple(replace(row, key=key) for row, key in zip(rows, keys, strict=True))


def any_due(rows: Rows) -> bool:
    """Ask for due rows instead of due heads."""
    return any(row.due_in <= 0 for row in rows)


def fresh_first(rows: Rows, limit: int, starts: int) -> list[int]:
    """Never give those that failed their share."""
    return choose(rows, limit, 0) if limit < EVERY else choose(rows, limit, starts)


def fresh_of_all(rows: Rows, limit: int, starts: int) -> list[int]:
    """Choose among rows that are due, then drop those that are no heads."""
    due = sorted((i for i, row in enumerate(rows) if row.due_in <= 0), key=lambda i: (rows[i].has_failed, i))
    return [i for i in due[:limit] if is_head(rows, i) and not rows[i].deaths]


def past_what_waits(rows: Rows, limit: int, starts: int) -> list[int]:
    """Let a chain go on past a row of its object that has to wait."""
    chosen = choose(rows, limit, starts)
    if chosen and not rows[chosen[0]].deaths:
        more = [
            i for i, row in enumerate(rows) if row.key == rows[chosen[-1]].key and row.due_in <= 0 and not row.deaths
        ]
        chosen += [i for i in more if i > chosen[-1] and i not in chosen][: limit - len(chosen)]
    return chosen


def suspects_among_others(rows: Rows, limit: int, starts: int) -> list[int]:
    """Send a row that may have killed its worker like any other."""
    return choose(tuple(replace(row, deaths=0) for row in rows), limit, starts)


MUTANTS: dict[str, tuple[Choose, Callable[[Rows], bool], str]] = {
    "the look asks for due rows": (choose, any_due, "busy loop"),
    "fresh ones always first": (fresh_first, anything_due, "share"),
    "heads sought among the first due": (fresh_of_all, anything_due, "stuck"),
    "chains go past what waits": (past_what_waits, anything_due, "order"),
    "suspects among others": (suspects_among_others, anything_due, "alone"),
}


def first_fault(rule: Choose, asks: Callable[[Rows], bool], wanted: str = "") -> tuple[str, object, int]:
    """Try all states; return the first fault (of the wanted kind), where, and how many states were tried."""
    tried = 0
    if starves(rule) and wanted in ("", "share"):
        return "share", "fresh rows without end", tried
    for count in range(1, 5):
        for rows in states(count):
            for limit, starts in ((1, EVERY - 1), (2, 0), (4, EVERY - 2)):
                tried += 1
                for fault in faults(rule, asks, rows, limit, starts):
                    if wanted in ("", fault):
                        return fault, (rows, limit, starts), tried
    return "", None, tried


def main() -> int:
    """Check the rule and its mutants; return the exit code."""
    fault, where, tried = first_fault(choose, anything_due)
    print(f"the rule: {tried:,} states, {fault or 'holds'} {where or ''}")
    wrong = bool(fault)
    for name, (rule, asks, expected) in MUTANTS.items():
        found, _, tried = first_fault(rule, asks, expected)
        print(f"mutant, {name}: expected {expected}, found {found or 'nothing'} in {tried:,} states")
        wrong |= found != expected
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
