"""The life of a lane follows that of its integration."""

from __future__ import annotations

from typing import Any

from .models import Lane


def make_lane(instance: Any, created: bool, raw: bool, using: str, **_: Any) -> None:
    """Give a new integration its lane, in the same transaction."""
    if created and not raw:
        Lane.objects.using(using).get_or_create(integration_id=instance.pk)


def hold_lane(instance: Any, using: str, **_: Any) -> None:
    """Lock the lane before an integration is deleted: a worker settles first, or finds the lane gone."""
    lanes = Lane.objects.using(using).select_for_update().filter(pk=instance.pk)
    list(lanes.values_list("pk"))
