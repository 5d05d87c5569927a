"""Report how every integration is doing, for the API and the dashboard: credentials, breaker, rate limit, error rate.

Figures come from the lanes and from the newest part of the execution log, so that the cost does not grow with history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Max, Q, QuerySet

from integrations.audit.models import ExecutionLog
from integrations.connections.authorization import awaits_connection
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.database import clock
from integrations.delivery.models import Lane
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.health.reading import health_of
from integrations.health.rule import Health, Kind, State
from integrations.tenancy.tenant import name_of

RECENT_ROWS = 50_000  # of the execution log, all tenants together
RECENT = timedelta(hours=1)
MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Status:
    """One integration, as people and monitors want to see it.

    Attributes:
        state: a word of `health.rule.State`; `since` and `until`, if it has a beginning and an end of its own.
        reason: why, in a sentence; `what_to_do`: what a person can do.
        fault: whose fault it is that nothing arrives: ``credentials``, ``set-up`` (the account or the settings),
            ``gone`` (410), ``destination``; "": nobody's, or nobody knows.
        is_failing: events that are due do not arrive, and nobody wanted that.
        auth: ``ok``, ``unproven``, ``not-connected`` (a person must do that at the provider), ``refused`` (lately, but
            still trying), ``disabled``, ``overdue`` (too old). What is the set-up's fault says nothing about it.
        breaker: ``closed``, ``open`` (resting), ``half-open`` (the next request is the probe).
        error_rate: part of the calls of the last hour that failed, 0 to 1; None: there were none.
        mean_ms: mean duration of those calls.
    """

    id: str
    name: str
    tenant: str
    connector: str
    family: str
    version: str
    state: str
    kind: Kind
    label: str
    since: datetime | None
    until: datetime | None
    reason: str
    what_to_do: str
    fault: str
    is_failing: bool
    auth: str
    auth_failures: int
    credentials_age_days: int | None
    breaker: str
    breaker_failures: int
    breaker_opened_at: datetime | None
    next_probe_at: datetime | None
    rate_limit_per_minute: int | None
    next_send_at: datetime | None
    calls: int
    error_rate: float | None
    mean_ms: int | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_test_at: datetime | None
    pk: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values' dict; without the database key and what only a page wants."""
        values = asdict(self)
        for name in ("pk", "kind", "label"):
            del values[name]
        return values


def statuses(integrations: QuerySet[TenantIntegration]) -> list[Status]:
    """Return the status of (at most MAX_LISTED) `integrations`: a few queries, however many they are."""
    rows = list(
        integrations.select_related("tenant", "lane", "oauth_grant").order_by("integration_type", "name", "id")[
            :MAX_LISTED
        ]
    )
    figures = _figures([row.pk for row in rows])
    now = clock.now()
    health = health_of(rows, now)
    return [_status(row, health[row.pk], figures.get(row.pk, (0, 0, None)), now) for row in rows if row.pk in health]


def overall(found: Iterable[Status], *, tenants: int | None = None) -> str:
    """Return ``ok``, ``degraded`` (something fails) or ``down`` (a kind of system of which nothing works).

    Args:
        tenants: how many must use a kind before it counts as down. None: two, or one where only one is to be seen: one
            tenant's trouble is no outage for whoever looks after several.
    """
    every = list(found)
    if tenants is None:
        tenants = min(2, len({each.tenant for each in every}))
    kinds: dict[str, list[Status]] = {}
    for each in every:
        if each.state not in (State.OFF, State.DELETING):
            kinds.setdefault(each.connector, []).append(each)
    for group in kinds.values():
        if all(each.is_failing for each in group) and len({each.tenant for each in group}) >= tenants:
            return "down"
    return "degraded" if any(each.is_failing for group in kinds.values() for each in group) else "ok"


def _figures(pks: list[int]) -> dict[int, tuple[int, int, float | None]]:
    """Return {integration: (calls, failed calls, mean ms)} of the last hour."""
    newest = ExecutionLog.objects.aggregate(newest=Max("id"))["newest"]
    if newest is None or not pks:
        return {}
    recent = ExecutionLog.objects.filter(
        id__gt=newest - RECENT_ROWS, created_at__gte=clock.now() - RECENT, integration__in=pks, attempt__gt=0
    )
    rows = (
        recent.order_by()
        .values("integration")
        .annotate(calls=Count("id"), failed=Count("id", filter=~Q(error="")), mean=Avg("duration_ms"))
    )
    return {row["integration"]: (row["calls"], row["failed"], row["mean"]) for row in rows}


def _status(
    integration: TenantIntegration, health: Health, figures: tuple[int, int, float | None], now: datetime
) -> Status:
    lane: Lane = getattr(integration, "lane", None) or Lane()
    try:
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
        family, limit = manifest.family, manifest.rate_limit.per_minute if manifest.rate_limit else None
    except (UnknownConnector, IncompatibleConnector):
        family, limit = "unknown", None
    calls, failed, mean = figures
    is_open = lane.times_opened > 0
    is_resting = bool(lane.paused_until and lane.paused_until > now)
    return Status(
        id=str(integration.public_id),
        name=integration.name,
        tenant=name_of(integration.tenant),
        connector=integration.integration_type,
        family=family,
        version=integration.connector_version,
        state=health.state,
        kind=health.kind,
        label=health.label,
        since=health.since,
        until=health.until,
        reason=health.why if health.state != State.WORKING or health.is_partial else "",
        what_to_do=health.what_to_do,
        fault=health.fault,
        is_failing=health.is_failing,
        auth=_auth(integration, lane, health.fault),
        auth_failures=integration.auth_failure_count,
        credentials_age_days=integration.credentials_age,
        breaker=("open" if is_resting else "half-open") if is_open else "closed",
        breaker_failures=lane.consecutive_failures,
        breaker_opened_at=lane.opened_at,
        next_probe_at=lane.paused_until if is_open and is_resting else None,
        rate_limit_per_minute=integration.rate_limit_per_minute or limit,
        next_send_at=lane.next_send_at if lane.next_send_at and lane.next_send_at > now else None,
        calls=calls,
        error_rate=round(failed / calls, 4) if calls else None,
        mean_ms=round(mean) if mean is not None else None,
        last_success_at=lane.last_success_at,
        last_failure_at=lane.last_failure_at,
        last_test_at=integration.last_test_at,
        pk=integration.pk,
    )


def _auth(integration: TenantIntegration, lane: Lane, fault: str) -> str:
    if fault == "credentials":
        return "disabled" if not integration.is_enabled else "refused"
    if integration.overdue_days is not None:
        return "overdue"
    if awaits_connection(integration):
        return "not-connected"
    return "ok" if integration.is_connected or lane.last_success_at else "unproven"
