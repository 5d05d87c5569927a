"""Read what the rule judges by: a few queries, however many integrations they are for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from integrations.connections.authorization import awaits_connection
from integrations.connections.health import SET_UP_AT_FAULT, without_advice
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.row import ConnectionRow
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.database import clock
from integrations.errors import IntegrationNotConfigured
from integrations.pull.models import SyncState

from .rule import Facts, Health, judge

_OWN = ("is_active", "is_enabled", "disabled_reason", "is_connected", "last_test_at")
LANE = (
    "deleting_since", "paused_by", "paused_since", "attention", "paused_until", "pause_reason", "times_opened",
    "opened_at", "last_success_at", "last_failure_at", "failing_since", "failing_rows", "failing_attempts",
    "gave_up_at", "last_error", "trouble",
)  # fmt: skip
_COLUMNS = (
    "pk", *_OWN, "integration_type", "updated_at", "auth_failure_count", "last_auth_failure_at",
    *(f"lane__{name}" for name in LANE),
)  # fmt: skip


def health_of(
    integrations: QuerySet[TenantIntegration] | Iterable[TenantIntegration], now: datetime | None = None
) -> dict[Any, Health]:
    """Return {primary key: health} of `integrations`, a queryset or rows: two or three queries."""
    moment = clock.now() if now is None else now
    return {pk: judge(facts, moment) for pk, facts in facts_of(integrations).items()}


def facts_of(integrations: QuerySet[TenantIntegration] | Iterable[TenantIntegration]) -> dict[Any, Facts]:
    """Return {primary key: facts} of `integrations`, in their order if they are a queryset."""
    if isinstance(integrations, QuerySet):
        wanted = integrations
    else:
        wanted = TenantIntegration.unannounced.filter(pk__in=[row.pk for row in integrations])
    ticked = EventSubscription.objects.filter(integration=OuterRef("pk"))
    rows = list(wanted.annotate(is_subscribed=Exists(ticked)).values(*_COLUMNS, "is_subscribed"))
    manifests = {name: _manifest(name) for name in {row["integration_type"] for row in rows}}
    may_wait = [row["pk"] for row in rows if may_await(manifests[row["integration_type"]])]
    waiting = {pk for part in _parts(may_wait) for pk in awaiting(TenantIntegration.unannounced.filter(pk__in=part))}
    readers = [row["pk"] for row in rows if reads(manifests[row["integration_type"]])]
    pulls = _pulls(readers)
    return {row["pk"]: _facts(row, manifests[row["integration_type"]], waiting, pulls.get(row["pk"])) for row in rows}


def facts_of_connection(connection: ConnectionRow) -> Facts:
    """Return the facts of a host's own connection: it has no lane, and no event is sent to it."""
    return Facts(
        is_enabled=connection.is_enabled,
        disabled_reason=without_advice(connection.disabled_reason),
        takes_events=False,
        awaits_connection=awaits_connection(connection),  # type: ignore[arg-type]
        connector=connection.connector_key,
        is_installed=_manifest(connection.connector_key) is not None,
        is_connected=connection.is_connected,
        last_test_at=connection.last_test_at,
        refusals=connection.auth_failure_count,
        refused_at=connection.last_auth_failure_at,
    )


def _facts(row: Mapping[str, Any], manifest: Manifest | None, waiting: set[Any], pull: _Pull | None) -> Facts:
    lane = {name: row[f"lane__{name}"] for name in LANE}
    is_missing = lane["attention"] is None  # it gets its lane with the next sweep
    values = {name: value for name, value in lane.items() if value is not None} if is_missing else dict(lane)
    attention = values.get("attention", "")
    if values.get("deleting_since"):
        values["deleting"], values["attention"] = attention, ""
    own = {name: row[name] for name in _OWN} | {"disabled_reason": without_advice(row["disabled_reason"])}
    return Facts(
        **own,
        **values,
        **facts_of_type(manifest),
        is_subscribed=row["is_subscribed"],
        awaits_connection=row["pk"] in waiting,
        connector=row["integration_type"],
        changed_at=row["updated_at"],
        refusals=row["auth_failure_count"],
        refused_at=row["last_auth_failure_at"],
        is_set_up_at_fault=_is_set_up(row, attention, values.get("pause_reason", "")),
        pull_error=pull.error if pull else "",
        pulled_at=pull.at if pull else None,
    )


def facts_of_type(manifest: Manifest | None) -> dict[str, Any]:
    """Return what its connector type says of an integration, by the names of `Facts`; None: it is not installed."""
    return {
        "is_installed": manifest is not None,
        "takes_events": manifest is None or manifest.takes_events,
        "wants_events": manifest is None or ("deliver" in manifest.does and "export" not in manifest.does),
        "test_sends_event": manifest is not None and "deliver" in manifest.does and "check" not in manifest.does,
    }


def _is_set_up(row: Mapping[str, Any], attention: str, pause_reason: str) -> bool:
    """Tell by the reasons that lane and integration keep (delivery/verdicts.py) what the refusals were about."""
    if not row["is_enabled"]:
        return SET_UP_AT_FAULT in row["disabled_reason"]
    return bool(attention) and pause_reason.startswith(attention[:150])


def _manifest(name: str) -> Manifest | None:
    try:
        return ConnectorRegistry.type_of(name).manifest
    except IntegrationNotConfigured:
        return None


def may_await(manifest: Manifest | None) -> bool:
    return manifest is not None and manifest.oauth is not None


def reads(manifest: Manifest | None) -> bool:
    return manifest is None or "read" in manifest.does


def awaiting(integrations: QuerySet[TenantIntegration]) -> set[Any]:
    """Return the keys of those of `integrations` that nobody has connected yet."""
    none_yet = Q(oauth_grant=None) | Q(oauth_grant__tokens_encrypted="", oauth_grant__invalid_since=None)
    rows = integrations.filter(none_yet).select_related("oauth_grant")
    return {row.pk for row in rows if awaits_connection(row)}


class _Pull:
    """How the pulls of one integration went, all kinds of things together."""

    def __init__(self) -> None:
        self.error, self.at = "", None

    def add(self, state: Mapping[str, Any]) -> None:
        if state["last_sync_at"] and (self.at is None or state["last_sync_at"] > self.at):
            self.at = state["last_sync_at"]
        if state["status"] == SyncState.Status.FAILED:
            self.error = f"{state['resource_type']}: {state['last_error']}".removesuffix(": ")


def _pulls(pks: list[Any]) -> dict[Any, _Pull]:
    found: dict[Any, _Pull] = {}
    for part in _parts(pks):
        tried = SyncState.objects.filter(Q(status=SyncState.Status.FAILED) | Q(last_sync_at__isnull=False))
        states = tried.filter(connection__in=part).order_by("connection", "resource_type")
        for state in states.values("connection", "resource_type", "status", "last_error", "last_sync_at"):
            found.setdefault(state["connection"], _Pull()).add(state)
    return found


def _parts(pks: list[Any], size: int = 20_000) -> Iterator[list[Any]]:
    for start in range(0, len(pks), size):
        yield pks[start : start + size]
