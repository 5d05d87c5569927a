"""The life of a lane follows that of its integration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .models import Lane


def make_lane(instance: Any, created: bool, raw: bool, using: str, **_: Any) -> None:
    """Give a new integration its lane, in the same transaction."""
    if created and not raw:
        Lane.objects.using(using).get_or_create(integration_id=instance.pk)


def hold_lane(instance: Any, using: str, **_: Any) -> None:
    """Lock the lane before an integration is deleted: a worker settles first, or finds the lane gone."""
    lock_lanes([instance.pk], using=using)


def lock_lanes(integration_ids: Iterable[int], *, using: str = "default") -> None:
    """Lock these lanes until the end of the transaction: whoever writes several rows of a lane, or a row and
    its integration, does this first, as settle does, so that nobody waits in a circle."""
    lanes = Lane.objects.using(using).select_for_update().filter(pk__in=set(integration_ids)).order_by("pk")
    list(lanes.values_list("pk"))
