"""Why an integration got nothing of an event, in a sentence: from what was configured when it happened.

Whoever was subscribed and active has a row, also where a condition kept the event out (*Skipped*); that row says why.
This is about those that have none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.contrib.contenttypes.models import ContentType
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.connections import event_types
from integrations.connections.conditions import judge, why_unmet
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.outbox.models import IntegrationEvent, IntegrationSync, object_id_of

from .configured_then import Configured, configured_all, known_since
from .trail import AuditEntry

logger = logging.getLogger("integrations.audit")

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
        return _("It caused this itself by calling back: an integration is not told of its own doing.")
    if _is_about(integration, event):
        return _("The event is about this integration: none is told of itself.")
    if not then.exists:
        return _("It was made later, at {at}.").format(at=_at(integration.created_at))
    if event_type not in dict(event_types.choices()):
        return _("Events of the type {event_type} are made for one destination only.").format(event_type=event_type)
    if problem := _not_taken(integration, event_type):
        return problem
    if not then.is_known:
        since = known_since()
        began = (
            _("the audit trail began only at {at}").format(at=_at(since))
            if since is not None
            else _("there is no audit trail yet")
        )
        return _("Not known: {began}. {now}").format(began=began, now=_now(integration, [event_type]))
    if not then.is_active:
        return _("It was switched off then (Active not ticked){by}.").format(by=_by(then.switched))
    if event_type not in then.conditions:
        wants = {each.event_type for each in integration.subscriptions.all()}
        if event_type in wants:
            return _("It was not subscribed to {event_type} then, and is now.").format(event_type=event_type)
        return _("It was not subscribed to {event_type} then.").format(event_type=event_type)
    return _kept_out(then.conditions[event_type], then.versions[event_type], event)


def _is_about(integration: TenantIntegration, event: IntegrationEvent) -> bool:
    if event.object_id != object_id_of(integration.pk):
        return False
    return event.content_type_id == ContentType.objects.get_for_model(TenantIntegration).pk


def _kept_out(condition: str, version: int, event: IntegrationEvent) -> str:
    """Say why whoever was subscribed and active has no row.

    Args:
        version: of the payload, which `condition` is about.
    """
    body = _body(event, version) if condition else {}
    if body is None:
        return _(
            "Its condition was about version {version} of the payload, which cannot be made of this event now: "
            "not known."
        ).format(version=version)
    if condition and not judge(condition, body).is_met:
        return _("Its condition was not met: {why}. Such events are not recorded here.").format(
            why=why_unmet(condition, body)
        )
    return _("It was subscribed and switched on; the event was made by hand for others, or its row is gone.")


def _body(event: IntegrationEvent, version: int) -> dict[str, Any] | None:
    """Return the body of `event` as `version` has it; None: that version is not made any more, or not of this body."""
    event_type = event.event_type
    if version < event.payload_version and version not in event_types.versions(event_type):
        return None
    try:
        return event_types.in_version(event_type, json.loads(event.body), version, of=event.payload_version)
    except Exception as error:  # a host's function
        logger.info("version %s of %s cannot be made: %s", version, event, type(error).__name__)
        return None


def _not_taken(integration: TenantIntegration, event_type: str) -> str:
    """Say that this connector type does not take such events, "" if it does or nobody knows."""
    try:
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    except (UnknownConnector, IncompatibleConnector):
        return ""
    if event_type in dict(event_types.offered_to(manifest)):
        return ""
    takes = _("takes orders, and this event holds none") if "export" in manifest.does else _("takes no events")
    return _("Its connector type does not take it: {label} {takes}.").format(label=manifest.label, takes=takes)


def _now(integration: TenantIntegration, types: Collection[str]) -> str:
    """Say whether it wants events of these types, as it is configured now."""
    lane = getattr(integration, "lane", None)
    if lane is not None and lane.deleting_since is not None:
        return _("It is being deleted.")
    taken = [name for name in types if not _not_taken(integration, name)]
    if types and not taken:
        return _not_taken(integration, next(iter(types)))
    wanted = {each.event_type: each.condition for each in integration.subscriptions.all()}
    mine = [name for name in types if name in wanted]
    if not integration.is_active:
        return _("It is switched off (Active not ticked).")
    if not wanted:
        return _("It is subscribed to no event.")
    if not mine:
        return _("It is not subscribed to {types}; it is to {others}.").format(
            types=_listed(types), others=_listed(wanted)
        )
    conditional = [name for name in mine if wanted[name]]
    rest = _(", {listed} only under a condition").format(listed=_listed(conditional)) if conditional else ""
    return _("It is subscribed to {listed}{rest}: what happens from now on reaches it.").format(
        listed=_listed(mine), rest=rest
    )


def _by(entry: AuditEntry | None) -> str:
    return (
        _(": {actor} did that at {at}").format(actor=entry.actor, at=_at(entry.created_at)) if entry is not None else ""
    )


def _at(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    if len(found) > 6:
        found = [*found[:5], f"{len(found) - 5} more"]
    return ", ".join(found[:-1]) + f" or {found[-1]}" if len(found) > 1 else "".join(found)
