"""Which integrations, in what order: health is no column, so the database asks the rule of each (health/query.py).

How many there are of each kind is one query, the order of one page another; only that page is read and put in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.health.query import NUMBER, numbered
from integrations.health.reading import facts_of
from integrations.health.rule import BROKEN, Case, Facts, Health, State, judge
from integrations.tenancy.tenant import tenant_field

SIZE = 50

_HELD = (State.RESTING, State.PAUSED, State.NOT_CONNECTED)

# Name of a group in addresses, its title, whether a case of the rule belongs to it.
GROUPS: tuple[tuple[str, Any, Callable[[Case], bool]], ...] = (
    ("failing", gettext_lazy("Failing"), lambda case: case.state in BROKEN),
    ("part", gettext_lazy("Works in part"), lambda case: case.is_partial),
    ("held", gettext_lazy("Resting or paused"), lambda case: case.state in _HELD),
    ("working", gettext_lazy("Working"), lambda case: case.state is State.WORKING and not case.is_partial),
    ("unused", gettext_lazy("Not used yet"), lambda case: case.state in (State.NEVER_TRIED, State.NO_EVENTS)),
    ("off", gettext_lazy("Off"), lambda case: case.state in (State.OFF, State.DELETING)),
)
_NAMES = tuple(name for name, _, _ in GROUPS)


def group_of(case: Case) -> int:
    """Return the number of the group to which `case` belongs, in the order in which the list has them."""
    return next(number for number, (_, _, belongs) in enumerate(GROUPS) if belongs(case))


class One(NamedTuple):
    """An integration of a page."""

    pk: int
    facts: Facts
    health: Health


_BY_NAME = (Lower("name"), "pk")
SORTS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "health": (gettext_lazy("What needs somebody first"), (NUMBER, *_BY_NAME)),
    "name": (gettext_lazy("Name"), _BY_NAME),
    "type": (gettext_lazy("Connector type"), (Lower("integration_type"), *_BY_NAME)),
    "last": (gettext_lazy("Last delivery"), (F("lane__last_success_at").desc(nulls_last=True), *_BY_NAME)),
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
            group=group if group in _NAMES else "",
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
    """

    ones: list[One]
    counts: dict[str, int]
    types: dict[str, int]
    total: int
    page: int
    pages: int


def listed(rows: QuerySet[TenantIntegration], asked: Asked) -> Listed:
    """Return the page of `rows` that was asked for."""
    now = clock.now()
    judged: Any = numbered(rows.filter(_matching(asked.words)) if asked.words else rows, group_of, now)
    tally = judged.order_by().values_list("integration_type", NUMBER).annotate(Count("pk"))
    types: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for kind, number, count in tally:
        types[kind] += count
        if asked.type in ("", kind):
            counts[_NAMES[number]] += count
    total = counts[asked.group] if asked.group else counts.total()
    pages = max(1, -(-total // SIZE))
    page = min(asked.page, pages)
    if asked.type:
        judged = judged.filter(integration_type=asked.type)
    if asked.group:
        judged = judged.filter(**{NUMBER: _NAMES.index(asked.group)})
    ordered = judged.order_by(*SORTS[asked.sort][1]).values_list("pk", flat=True)
    pks = list(ordered[(page - 1) * SIZE : page * SIZE])
    facts = facts_of(TenantIntegration.unannounced.filter(pk__in=pks))
    return Listed(
        [One(pk, facts[pk], judge(facts[pk], now)) for pk in pks if pk in facts],
        {name: counts[name] for name in _NAMES},
        dict(sorted(types.items())),
        total,
        page,
        pages,
    )


def read_whole(ones: Iterable[One], rows: QuerySet[TenantIntegration]) -> list[tuple[One, TenantIntegration]]:
    """Return these with their rows of `rows`; one that is gone meanwhile is left out."""
    found = {row.pk: row for row in rows}
    return [(one, found[one.pk]) for one in ones if one.pk in found]


def _matching(words: str) -> Q:
    """Return the condition that name, connector type or tenant hold these words."""
    found = Q(name__icontains=words) | Q(integration_type__icontains=words)
    return found | Q(tenant__name__icontains=words) if tenant_field("name") is not None else found
