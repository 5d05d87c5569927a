"""The life of a lane follows that of its integration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.database.leases import RELEASED
from integrations.tenancy.tenant import is_tenant

from .models import Lane

WAITS_FOR_A_WORKER = "being deleted: waits for a worker"


def make_lane(instance: Any, created: bool, raw: bool, using: str, **_: Any) -> None:
    """Give a new integration its lane, in the same transaction."""
    if created and not raw:
        Lane.objects.using(using).get_or_create(integration_id=instance.pk)


def hold_lane(instance: Any, using: str, **_: Any) -> None:
    """Lock the lane before an integration is deleted: a worker settles first, or finds the lane gone."""
    lock_lanes([instance.pk], using=using)


def hold_lanes(pks: list[Any], using: str, **_: Any) -> None:
    """Lock these lanes before a batch of what belongs to their integrations is deleted."""
    lock_lanes(pks, using=using)


def close_lanes(sender: type[models.Model], pks: list[Any], using: str, **_: Any) -> None:
    """Mark integrations (or all of these tenants') as being deleted: nothing is recorded for them or sent any more.

    The holder of a lane loses its lease: what it is just sending is not written down.
    """
    which = Q(tenant_id__in=pks) if is_tenant(sender) else Q(pk__in=pks)
    integrations = TenantIntegration.unannounced.using(using).filter(which)
    missing = integrations.filter(lane=None).values_list("pk", flat=True)
    Lane.objects.using(using).bulk_create((Lane(integration_id=pk) for pk in missing), ignore_conflicts=True)
    lanes = Lane.objects.using(using).filter(integration__in=integrations)
    list(lanes.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
    lanes.filter(deleting_since=None).update(
        deleting_since=Now(),
        attention=WAITS_FOR_A_WORKER,
        paused_until=None,
        pause_reason="",
        **RELEASED,
    )
    integrations.update(is_active=False)
    # Whoever switched it on again would still get nothing.
    EventSubscription.objects.using(using).filter(integration__in=integrations)._raw_delete(using)  # nobody is told


def lock_lanes(integration_ids: Iterable[int], *, using: str = "default") -> None:
    """Lock these lanes until the end of the transaction: whoever writes several rows of a lane, or a row and
    its integration, does this first, as settle does, so that nobody waits in a circle."""
    lanes = Lane.objects.using(using).select_for_update().filter(pk__in=set(integration_ids)).order_by("pk")
    list(lanes.values_list("pk"))
