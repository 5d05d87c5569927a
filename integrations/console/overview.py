"""What happens now, at one look; which integrations need somebody, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.page import is_part, page, show
from integrations.delivery.models import Lane
from integrations.health.reading import health_of
from integrations.health.rule import Health, State
from integrations.observability.backlog import Backlog, backlog
from integrations.observability.lights import lights, sentence
from integrations.pull.models import SyncState
from integrations.statistics.figures import Figures, total
from integrations.statistics.models import DAY
from integrations.statistics.reading import (
    DAY_LONG,
    EVERYBODY,
    RANGES,
    Point,
    Range,
    Rolled,
    Whose,
    coarser,
    rolled,
    series,
    sparklines,
)
from integrations.statistics.words import percent, took
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role
from integrations.tenancy.tenant import tenant_model

LOOKED_AT = 100  # of those that may be failing
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Failing:
    """One integration that needs somebody, with what it delivered and what failed in each of the last 24 hours."""

    integration: TenantIntegration
    health: Health
    hours: list[Figures]

    @property
    def attempts(self) -> list[int]:
        return [hour.attempts for hour in self.hours]

    @property
    def failed(self) -> list[int]:
        return [hour.failed for hour in self.hours]

    @property
    def is_tried(self) -> bool:
        return any(self.attempts)

    @property
    def words(self) -> str:
        """What the little chart shows."""
        taken, failed = sum(hour.delivered for hour in self.hours), sum(self.failed)
        return _("24 hours: {taken:,} delivered, {failed:,} attempts failed").format(taken=taken, failed=failed)


def failing(rows: QuerySet[TenantIntegration], upto: Rolled | None = None) -> tuple[list[Failing], int]:
    """Return the SHOWN worst of `rows`, and how many there are (at most LOOKED_AT are looked at).

    Args:
        upto: how far figures are summed up, where the caller has asked.
    """
    pulls = SyncState.objects.filter(connection=OuterRef("pk"), status=SyncState.Status.FAILED)
    may_fail = (
        Q(is_enabled=False)
        | ~Q(lane__attention="")
        | ~Q(lane__trouble="")
        | Q(lane__failing_since__isnull=False)
        | Q(lane__paused_until__gt=Now())
        | Exists(pulls)
    )
    some = rows.filter(may_fail, is_active=True, lane__deleting_since=None)
    some = some.order_by("is_enabled", F("lane__failing_since").desc(nulls_last=True), "pk")[:LOOKED_AT]
    judged = [
        (pk, health)
        for pk, health in health_of(some).items()
        if health.is_failing or health.is_partial or health.state is State.RESTING
    ]
    # Stable: what began to fail last comes first.
    judged.sort(key=lambda one: 0 if one[1].is_failing else 1 if one[1].is_partial else 2)
    shown = dict(judged[:SHOWN])
    found = TenantIntegration.unannounced.select_related("tenant").in_bulk(shown)
    hours = sparklines(list(shown), upto=upto)
    return [Failing(found[pk], health, hours[pk]) for pk, health in shown.items() if pk in found], len(judged)


TITLES = {"1h": "1 h", "24h": "24 h", "7d": "7 d", "30d": "30 d", "13m": gettext_lazy("13 months")}
PAST = {
    "1h": gettext_lazy("the last hour"),
    "24h": gettext_lazy("the last 24 hours"),
    "7d": gettext_lazy("the last 7 days"),
    "30d": gettext_lazy("the last 30 days"),
    "13m": gettext_lazy("the last 13 months"),
}
MOST_WAITING = 10_000  # rows that are counted
MANY_TENANTS = 20  # of whom minutes would be too many to add up for a day
LATE_SECONDS = 120.0  # what is due for longer is worth a look: the sweep passes every few seconds
LINES = (
    (gettext_lazy("Delivered"), "ok", "delivered"),
    (gettext_lazy("Failed, tried again"), "warn", "retrying"),
    (gettext_lazy("Given up"), "bad", "given_up"),
    (gettext_lazy("Cancelled"), "off", "cancelled"),
)
QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


@page(Role.VIEWER)
def overview(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what was delivered, how fast, what waits, what fails and what runs."""
    span = next((each for each in RANGES if each.name == request.GET.get("range")), DAY_LONG)
    mine = access.rows(TenantIntegration.unannounced.all())
    context: dict[str, Any] = {"span": span.name, "is_table": request.GET.get("table") == "1"}
    upto = rolled()
    found, count = failing(mine, upto)
    if found or mine.exists():
        context |= _figures(access, span, upto)
        context |= {"failing": found, "failing_count": count}
    else:
        context["may_add"] = access.may_here(Capability.ADD)
    context |= _system(access)
    template = "parts/overview_live.html" if is_part(request) else "overview.html"
    return show(request, access, template, context)


def whose(access: Access) -> Whose:
    """Return whose figures the person looks at: one tenant's, or those of all that they may see."""
    if access.tenant is not None:
        return Whose((access.tenant.pk,))
    if access.user.is_superuser:
        return EVERYBODY
    keys = tuple(access.keys_where(access.needed))
    return EVERYBODY if len(keys) == tenant_model()._default_manager.count() else Whose(keys)


def _figures(access: Access, span: Range, upto: Rolled) -> dict[str, Any]:
    of = whose(access)
    points = series(of, coarser(span) if len(of.tenants or ()) > MANY_TENANTS else span, upto=upto)
    figures = total(point.figures for point in points)
    waits = backlog(MOST_WAITING, of.tenants)
    is_quiet = not (figures.attempts or figures.cancelled)
    return {
        "has_integrations": True,
        "figures": figures,
        "numbers": {name: f"{getattr(figures, name):,}" for name in ("delivered", "failed", "retrying", "given_up")},
        "attempts": f"{figures.attempts:,}",
        "success": percent(figures.success_rate),
        "is_success_low": figures.success_rate is not None and figures.success_rate < 0.95,
        "times": _times(figures),
        "is_quiet": is_quiet,
        "is_first": is_quiet and not waits.count and not _has_ever_delivered(access),
        "waiting": f"{waits.count:,}{'+' if waits.is_more else ''}",
        "oldest": _oldest(waits),
        "ranges": [(each.name, TITLES[each.name], f"?range={each.name}") for each in RANGES],
        "past": PAST[span.name],
        "chart": _chart(points),
        "chart_words": _(
            "Deliveries a minute in {past}: {delivered:,} delivered, {retrying:,} attempts failed "
            "and are tried again, {given_up:,} given up."
        ).format(
            past=PAST[span.name], delivered=figures.delivered, retrying=figures.retrying, given_up=figures.given_up
        ),
        "rows": _rows(points, span),
    }


def _has_ever_delivered(access: Access) -> bool:
    return access.rows(Lane.objects.filter(delivered_count__gt=0), "integration__tenant").exists()


def _times(figures: Figures) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the rows of the table of times: what it is, what it means, and its quantiles in words."""
    return [
        (_("To deliver"), _("from the change until the receiver took it"), _quantiles(figures.age)),
        (_("To answer"), _("how long the receiver took for one request"), _quantiles(figures.duration)),
    ]


def _quantiles(of: Callable[[float], float | None]) -> list[tuple[str, str]]:
    return [(name, took(of(quantile))) for quantile, name in QUANTILES]


def _oldest(found: Backlog) -> dict[str, Any] | None:
    if found.due_for is None:
        return None
    url = reverse("console:integration", args=[found.integration]) if found.integration else ""
    seconds = max(0.0, found.due_for)
    return {"age": took(seconds * 1000), "name": found.name, "url": url, "is_late": seconds > LATE_SECONDS}


def _chart(points: list[Point]) -> dict[str, Any]:
    lines = [line for line in LINES if line[2] != "cancelled" or any(point.figures.cancelled for point in points)]
    return {
        "times": [int(point.at.timestamp()) for point in points],
        "series": [
            {
                "label": label,
                "kind": kind,
                "fill": kind == "ok",
                "values": [round(point.a_minute(getattr(point.figures, name)), 2) for point in points],
            }
            for label, kind, name in lines
        ],
    }


def _rows(points: list[Point], span: Range) -> list[dict[str, Any]]:
    """Return the same as a table, newest first, without the steps in which nothing happened."""
    return [
        {"at": at, "is_day": span.step >= DAY, "figures": figures, "success": percent(figures.success_rate)}
        for at, _, figures in reversed(points)
        if figures.attempts or figures.cancelled
    ]


def _system(access: Access) -> dict[str, Any]:
    found = lights()
    return {"lights": found, "service": sentence(found)}
