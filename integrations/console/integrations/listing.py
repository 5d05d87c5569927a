"""Which integrations, in what order: every one that may be seen is judged, for health is no column to filter by.

At 5,000 integrations that are three queries for plain values; only those of one page are read whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from integrations import clock
from integrations.connections.models import TenantIntegration
from integrations.health.reading import facts_of
from integrations.health.rule import Facts, Health, State, judge
from integrations.tenancy.tenant import tenant_field

SIZE = 50
MOST = 20_000  # of which health is judged

_HELD = (State.RESTING, State.PAUSED, State.NOT_CONNECTED)

# Name of a group in addresses, its title, whether a health belongs to it.
GROUPS: tuple[tuple[str, str, Callable[[Health], bool]], ...] = (
    ("failing", "Failing", lambda health: health.is_failing),
    ("part", "Works in part", lambda health: health.is_partial),
    ("held", "Resting or paused", lambda health: health.state in _HELD),
    ("working", "Working", lambda health: health.state is State.WORKING and not health.is_partial),
    ("unused", "Not used yet", lambda health: health.state in (State.NEVER_TRIED, State.NO_EVENTS)),
    ("off", "Off", lambda health: health.state in (State.OFF, State.DELETING)),
)
_RANKS = {name: rank for rank, (name, _, _) in enumerate(GROUPS)}
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class One(NamedTuple):
    """An integration as lists are sorted and filtered by."""

    pk: int
    name: str
    type: str
    facts: Facts
    health: Health
    group: str


SORTS: dict[str, tuple[str, Callable[[One], Any]]] = {
    "health": ("What needs somebody first", lambda one: (_RANKS[one.group], one.name.lower(), one.pk)),
    "name": ("Name", lambda one: (one.name.lower(), one.pk)),
    "type": ("Connector type", lambda one: (one.type.lower(), one.name.lower(), one.pk)),
    "last": (
        "Last delivery",
        lambda one: (-(one.facts.last_success_at or _LONG_AGO).timestamp(), one.name.lower(), one.pk),
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for; what makes no sense is as if it were not there."""

    words: str = ""
    group: str = ""
    type: str = ""
    tenant: str = ""
    sort: str = "health"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """Read the query of an address."""
        number = query.get("page", "")
        group, sort = query.get("health", ""), query.get("sort", "")
        return cls(
            words=query.get("q", "").replace("\0", "").strip()[:100],
            group=group if group in _RANKS else "",
            type=query.get("type", "").replace("\0", "")[:50],
            tenant=query.get("tenant", "")[:64],
            sort=sort if sort in SORTS else "health",
            page=int(number) if number.isascii() and number.isdigit() and len(number) < 6 and int(number) else 1,
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list.

    Attributes:
        counts: how many are in each group, whichever is chosen; types: connector type → how many.
        total: how many are listed, all pages together.
        is_cut: there are more than MOST.
    """

    ones: list[One]
    counts: dict[str, int]
    types: dict[str, int]
    total: int
    page: int
    pages: int
    is_cut: bool


def listed(rows: QuerySet[TenantIntegration], asked: Asked) -> Listed:
    """Return the page of `rows` that was asked for."""
    wanted = rows.filter(_matching(asked.words)) if asked.words else rows
    wanted = wanted.order_by("pk")[: MOST + 1]
    names = list(wanted.values_list("pk", "name", "integration_type"))
    facts, now = facts_of(wanted), clock.now()
    every = [_one(pk, name, kind, facts[pk], now) for pk, name, kind in names[:MOST] if pk in facts]
    types = Counter(one.type for one in every)
    every = [one for one in every if asked.type in ("", one.type)]
    counts = Counter(one.group for one in every)
    every = [one for one in every if asked.group in ("", one.group)]
    every.sort(key=SORTS[asked.sort][1])
    pages = max(1, -(-len(every) // SIZE))
    page = min(asked.page, pages)
    return Listed(
        every[(page - 1) * SIZE : page * SIZE],
        {name: counts[name] for name, _, _ in GROUPS},
        dict(sorted(types.items())),
        len(every),
        page,
        pages,
        len(names) > MOST,
    )


def read_whole(ones: Iterable[One], rows: QuerySet[TenantIntegration]) -> list[tuple[One, TenantIntegration]]:
    """Return these with their rows of `rows`; one that is gone meanwhile is left out."""
    found = {row.pk: row for row in rows}
    return [(one, found[one.pk]) for one in ones if one.pk in found]


def _one(pk: int, name: str, kind: str, facts: Facts, now: datetime) -> One:
    health = judge(facts, now)
    group = next(name for name, _, belongs in GROUPS if belongs(health))
    return One(pk, name, kind, facts, health, group)


def _matching(words: str) -> Q:
    """Return the condition that name, connector type or tenant hold these words."""
    found = Q(name__icontains=words) | Q(integration_type__icontains=words)
    return found | Q(tenant__name__icontains=words) if tenant_field("name") is not None else found
