"""Which integrations need somebody, the worst first, each with its error in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from integrations.connections.models import TenantIntegration
from integrations.health.reading import health_of
from integrations.health.rule import Health, State
from integrations.pull.models import SyncState
from integrations.statistics.figures import Figures
from integrations.statistics.reading import Rolled, sparklines

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
    judged = [(pk, health) for pk, health in health_of(some).items() if _needs_somebody(health)]
    judged.sort(key=lambda one: _rank(one[1]))  # stable: what began to fail last comes first
    shown = dict(judged[:SHOWN])
    found = TenantIntegration.unannounced.select_related("tenant").in_bulk(shown)
    hours = sparklines(list(shown), upto=upto)
    return [Failing(found[pk], health, hours[pk]) for pk, health in shown.items() if pk in found], len(judged)


def _needs_somebody(health: Health) -> bool:
    return health.is_failing or health.is_partial or health.state is State.RESTING


def _rank(health: Health) -> int:
    return 0 if health.is_failing else 1 if health.is_partial else 2
