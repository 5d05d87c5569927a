"""Why an integration got nothing of an event, in a sentence: from what was configured when it happened.

Whoever was subscribed and active has a row, also where a condition kept the event out (*Skipped*); that row says why.
This is about those that have none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.utils import timezone

from integrations.connections import event_types
from integrations.connections.conditions import judge
from integrations.connections.deciding import why_unmet
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.outbox.models import IntegrationEvent, IntegrationSync

from .configured_then import Configured, configured_all, known_since
from .trail import AuditEntry

MOST = 50  # integrations that are spoken of


class WhyNot(NamedTuple):
    """One integration that got nothing, and why."""

    integration: TenantIntegration
    sentence: str


def why_not(
    event: IntegrationEvent, *, only: TenantIntegration | None = None, have: Collection[int] | None = None
) -> list[WhyNot]:
    """Say of each integration of the event's tenant that has no row of it why not: by name, MOST of them.

    Args:
        only: speak of this one alone.
        have: the keys of those that have a row, where the caller has read all of them; None: ask.
    """
    rows = TenantIntegration.objects.filter(tenant_id=event.tenant_id)
    if only is not None:
        rows = rows.filter(pk=only.pk)
    if have is None:  # no join: the rows of one event are few, those of one integration are not
        have = IntegrationSync.objects.filter(event=event).order_by().values_list("integration_id", flat=True)
    found = rows.exclude(pk__in=list(have)).select_related("lane").prefetch_related("subscriptions")
    integrations = list(found.order_by("name", "id")[:MOST])
    if not integrations:
        return []
    then = configured_all(integrations, event.occurred_at)
    return [WhyNot(each, _why(each, then[each.pk], event)) for each in integrations]


def why_nothing(tenant: Any, types: Collection[str]) -> list[WhyNot]:
    """Say of each integration of `tenant` whether it wants events of these `types`, as it is now: MOST of them.

    For an object of which nothing was ever recorded, so that there is no moment to ask about.
    """
    rows = TenantIntegration.objects.filter(tenant=tenant).select_related("lane").prefetch_related("subscriptions")
    return [WhyNot(each, _now(each, types)) for each in rows.order_by("name", "id")[:MOST]]


def _why(integration: TenantIntegration, then: Configured, event: IntegrationEvent) -> str:
    event_type = event.event_type
    if event.origin_id == integration.pk:
        return "It caused this itself by calling back: an integration is not told of its own doing."
    if not then.exists:
        return f"It was made later, at {_at(integration.created_at)}."
    if event_type not in dict(event_types.choices()):
        return f"Events of the type {event_type} are made for one destination only."
    if problem := _not_taken(integration, event_type):
        return problem
    if not then.is_known:
        since = known_since()
        began = f"the audit trail began only at {_at(since)}" if since is not None else "there is no audit trail yet"
        return f"Not known: {began}. {_now(integration, [event_type])}"
    if not then.is_active:
        return f"It was switched off then (Active not ticked){_by(then.switched)}."
    if event_type not in then.conditions:
        wants = {each.event_type for each in integration.subscriptions.all()}
        return f"It was not subscribed to {event_type} then{', and is now' if event_type in wants else ''}."
    return _kept_out(then.conditions[event_type], event)


def _kept_out(condition: str, event: IntegrationEvent) -> str:
    """Say why whoever was subscribed and active has no row."""
    try:
        body = json.loads(event.body)
    except ValueError:
        body = {}
    if condition and not judge(condition, body).is_met:
        return f"Its condition was not met: {why_unmet(condition, body)}. Such events are not recorded here."
    return "It was subscribed and switched on; the event was made by hand for others, or its row is gone."


def _not_taken(integration: TenantIntegration, event_type: str) -> str:
    """Say that this connector type does not take such events, "" if it does or nobody knows."""
    try:
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    except (UnknownConnector, IncompatibleConnector):
        return ""
    if event_type in dict(event_types.offered_to(manifest)):
        return ""
    takes = "takes orders, and this event holds none" if "export" in manifest.does else "takes no events"
    return f"Its connector type does not take it: {manifest.label} {takes}."


def _now(integration: TenantIntegration, types: Collection[str]) -> str:
    """Say whether it wants events of these types, as it is configured now."""
    lane = getattr(integration, "lane", None)
    if lane is not None and lane.deleting_since is not None:
        return "It is being deleted."
    taken = [name for name in types if not _not_taken(integration, name)]
    if types and not taken:
        return _not_taken(integration, next(iter(types)))
    wanted = {each.event_type: each.condition for each in integration.subscriptions.all()}
    mine = [name for name in types if name in wanted]
    if not integration.is_active:
        return "It is switched off (Active not ticked)."
    if not wanted:
        return "It is subscribed to no event."
    if not mine:
        return f"It is not subscribed to {_listed(types)}; it is to {_listed(wanted)}."
    conditional = [name for name in mine if wanted[name]]
    rest = f", {_listed(conditional)} only under a condition" if conditional else ""
    return f"It is subscribed to {_listed(mine)}{rest}: what happens from now on reaches it."


def _by(entry: AuditEntry | None) -> str:
    return f": {entry.actor} did that at {_at(entry.created_at)}" if entry is not None else ""


def _at(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    if len(found) > 6:
        found = [*found[:5], f"{len(found) - 5} more"]
    return ", ".join(found[:-1]) + f" or {found[-1]}" if len(found) > 1 else "".join(found)
