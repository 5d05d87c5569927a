"""The list of integrations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from integrations.connections.access import may_use
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.console.workbench.bench import Bench
from integrations.console.workbench.overview import authentication, breaker, rate_limit
from integrations.counted import BoundedCount
from integrations.forms.choice import connector_of
from integrations.outbox.models import IntegrationSync
from integrations.statistics.figures import Figures, total
from integrations.statistics.reading import sparklines
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role
from integrations.tenancy.tenant import tenant_key

from .listing import GROUPS, SORTS, Asked, Listed, One, listed, read_whole

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
