"""The list of integrations. Health is no column, so the database asks the rule of each (health/query.py).

How many there are of each kind is one query, the order of one page another; only that page is read and put in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import Count, F, OuterRef, Q, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.access import may_use
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.console.workbench.bench import Bench
from integrations.console.workbench.overview import authentication, breaker, rate_limit
from integrations.counted import BoundedCount
from integrations.database import clock
from integrations.forms.choice import connector_of
from integrations.health.query import NUMBER, numbered
from integrations.health.reading import facts_of
from integrations.health.rule import BROKEN, Case, Facts, Health, State, judge
from integrations.outbox.models import IntegrationSync
from integrations.statistics.figures import Figures, total
from integrations.statistics.reading import sparklines
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role
from integrations.tenancy.tenant import tenant_field, tenant_key

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


COUNTED = 1000  # deliveries that wait


MayResume = Callable[[Bench], bool]


class Row:
    """One integration as the list shows it."""

    def __init__(self, access: Access, one: One, integration: Any, hours: list[Figures], may_resume: MayResume) -> None:
        self.one, self.integration, self.health = one, integration, one.health
        bench = Bench(access, integration, facts=one.facts, health=one.health)
        self.type_name = bench.type_name
        self.authentication = authentication(bench)
        self.breaker = breaker(bench) if one.facts.times_opened else ""
        limit = rate_limit(bench)
        self.limit = "" if limit == "none" else limit
        self.resume = bench.resume_url if bench.is_held and may_resume(bench) else ""
        self.takes_events = one.facts.takes_events
        count = integration.pending_count
        self.pending = f"{COUNTED}+" if count > COUNTED else str(count)
        self.sent = [figures.delivered + figures.retrying + figures.given_up for figures in hours]
        self.failed = [figures.retrying + figures.given_up for figures in hours]
        day = total(hours)
        self.attempts = attempts = sum(self.sent)
        self.errors = f"{100 * (attempts - day.delivered) / attempts:.0f} %" if attempts else ""
        self.spark_words = _("{count} attempts in 24 hours, {failed} failed").format(
            count=attempts, failed=attempts - day.delivered
        )

    @property
    def why(self) -> str:
        """The words beside the badge; nothing where all is as it should be."""
        health = self.health
        return health.why if health.kind in ("bad", "warn") else ""


@page(Role.VIEWER)
def integrations(request: HttpRequest, access: Access) -> HttpResponse:
    """Show a page of the list."""
    asked = Asked.of(request.GET)
    found = listed(_visible(access, asked), asked)
    rows = read_whole(found.ones, _whole([one.pk for one in found.ones]))
    hours = sparklines([one.pk for one, _row in rows])
    may_resume = _may_resume(access)
    context = {
        "rows": [Row(access, one, integration, hours[one.pk], may_resume) for one, integration in rows],
        "found": found,
        "may_add": access.may_here(Capability.ADD),
        "asked": asked,
        "groups": [(name, _(title), found.counts[name], _address(asked, group=name)) for name, title, _of in GROUPS],
        "everything": _address(asked, group=""),
        "all_count": sum(found.counts.values()),
        "types": _types(found),
        "sorts": [(name, _(title)) for name, (title, _key) in SORTS.items()],
        "is_narrowed": bool(asked.words or asked.group or asked.type or asked.tenant),
        "newer": _address(asked, page=found.page - 1) if found.page > 1 else "",
        "older": _address(asked, page=found.page + 1) if found.page < found.pages else "",
    }
    return show(request, access, "integrations.html", context)


def _may_resume(access: Access) -> MayResume:
    """Return what tells whether a row has the button: asked once for each family, and only where one tenant is meant.

    Of several tenants each would have to be asked for the person's role; their integrations have the button on their
    own pages.
    """
    if access.user.is_superuser:
        return lambda bench: True
    if access.tenant is None or not access.may(Capability.PAUSE, access.tenant.pk):
        return lambda bench: False
    if access.has_role(access.tenant.pk):  # with a role, of every family
        return lambda bench: True
    may = cache(lambda manifest: manifest is None or may_use(access.user, manifest, access.tenant))
    return lambda bench: bool(may(bench.manifest))


def _visible(access: Access, asked: Asked) -> QuerySet[TenantIntegration]:
    rows: Any = access.rows(TenantIntegration.objects.all())
    if asked.tenant and access.sees_several:
        key = tenant_key(asked.tenant)
        rows = rows.filter(tenant=key) if key is not None else rows.none()
    return rows


def _whole(pks: list[int]) -> QuerySet[TenantIntegration]:
    pending = IntegrationSync.objects.filter(integration=OuterRef("pk"), status=IntegrationSync.Status.PENDING)
    count = BoundedCount(pending.order_by("object_key", "id").values("pk")[: COUNTED + 1])
    rows: Any = TenantIntegration.objects.filter(pk__in=pks).select_related("tenant", "lane")
    return rows.annotate(pending_count=count)


def _types(found: Listed) -> list[tuple[str, str]]:
    named = []
    for key, count in found.types.items():
        connector = connector_of(key)
        named.append((key, f"{connector.manifest.label if connector is not None else key} ({count})"))
    return sorted(named, key=lambda pair: pair[1].lower())


def _address(asked: Asked, *, group: str | None = None, page: int = 1) -> str:
    """Return the address of the same list with another group or page."""
    values = {
        "q": asked.words,
        "health": asked.group if group is None else group,
        "type": asked.type,
        "tenant": asked.tenant,
        "sort": "" if asked.sort == "health" else asked.sort,
        "page": str(page) if page > 1 else "",
    }
    return f"?{urlencode({name: value for name, value in values.items() if value})}"
