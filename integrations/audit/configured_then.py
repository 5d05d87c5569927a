"""What an integration was configured to do at a moment in the past, read backwards from the audit trail.

From how it is now, every change since is taken back. What nobody wrote down (`QuerySet.update()`) is not seen, and
before the trail began nothing is known: then it says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.label import app_label

from .trail import CREATED, AuditEntry
from .watch import FIRST, SUBSCRIPTION, VERSION

MOST = 5_000  # entries that are taken back


@dataclass(frozen=True, slots=True)
class Configured:
    """What an integration was to do at a moment.

    Attributes:
        is_known: False: the trail does not go back so far; the rest is then how it is now.
        exists: it had been made.
        is_active: the tenant's switch.
        conditions: the subscribed event types with their conditions, "" for none.
        versions: the same types with the versions of their payloads, which the conditions are about.
        switched: who moved the switch last before that moment; None: nobody, or nobody knows.
    """

    is_known: bool
    exists: bool = True
    is_active: bool = True
    conditions: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    switched: AuditEntry | None = None


def configured_at(integration: TenantIntegration, moment: datetime) -> Configured:
    """Return how `integration` was configured at `moment`."""
    return configured_all([integration], moment)[integration.pk]


def configured_all(integrations: Collection[TenantIntegration], moment: datetime) -> dict[int, Configured]:
    """Return the same for several, in four statements."""
    keys = [integration.pk for integration in integrations]
    mine = AuditEntry.objects.filter(integration_key__in=keys)
    later = list(mine.filter(created_at__gt=moment).order_by("-id")[: MOST + 1])
    since = known_since()
    is_known = since is not None and moment >= since and len(later) <= MOST
    of_each: dict[int, list[AuditEntry]] = {key: [] for key in keys}
    for entry in later:
        of_each[entry.integration_key or 0].append(entry)
    switched: dict[int, AuditEntry] = {}
    for entry in mine.filter(created_at__lte=moment, changes__has_key="is_active").order_by("-id")[:MOST]:
        switched.setdefault(entry.integration_key or 0, entry)
    return {
        integration.pk: _taken_back(
            integration, of_each[integration.pk], is_known, moment, switched.get(integration.pk)
        )
        for integration in integrations
    }


def _taken_back(
    integration: TenantIntegration,
    later: Iterable[AuditEntry],
    is_known: bool,
    moment: datetime,
    switched: AuditEntry | None,
) -> Configured:
    if integration.created_at > moment:
        return Configured(True, exists=False)
    conditions, versions = {}, {}
    for each in integration.subscriptions.all():
        conditions[each.event_type], versions[each.event_type] = each.condition, each.payload_version
    is_active = integration.is_active
    if not is_known:
        return Configured(False, is_active=is_active, conditions=conditions, versions=versions)
    for entry in later:  # the newest first
        if entry.action == CREATED:
            continue  # its `created_at` says more exactly since when there is one
        changes = entry.changes
        if isinstance(before := _before(changes.get("is_active")), bool):
            is_active = before
        for name in changes:
            if name.startswith(VERSION):
                before = _before(changes[name])
                versions[name.removeprefix(VERSION)] = before if isinstance(before, int) else FIRST
            elif name.startswith(SUBSCRIPTION):
                event_type = name.removeprefix(SUBSCRIPTION)
                if isinstance(before := _before(changes[name]), str):
                    conditions[event_type] = before
                else:
                    conditions.pop(event_type, None)
                    versions.pop(event_type, None)
    versions = {event_type: versions.get(event_type, FIRST) for event_type in conditions}
    return Configured(True, is_active=is_active, conditions=conditions, versions=versions, switched=switched)


def _before(change: object) -> object:
    return change[0] if isinstance(change, list) else None


def known_since() -> datetime | None:
    """Return since when the trail tells all: since its table was made, and no longer than entries are kept."""
    began = _began("default")
    if began is None:
        oldest = AuditEntry.objects.order_by("id").values_list("created_at", flat=True).first()
        if oldest is None:
            return None
        began = oldest
    return max(began, clock.now() - timedelta(days=conf.AUDIT_RETENTION_DAYS))


@lru_cache(maxsize=1)
def _began(using: str) -> datetime | None:
    applied = MigrationRecorder(connections[using]).migration_qs.filter(app=app_label(), name__endswith="_audit_trail")
    return applied.values_list("applied", flat=True).first()
