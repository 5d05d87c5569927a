"""Other names for columns of `TenantIntegration`."""

from __future__ import annotations

from typing import Any, ClassVar

from .columns import Renamed, RenamedColumns


class RenamedIntegrationColumns(RenamedColumns):
    """``filter(event_type="workitem_created")`` finds the integrations that subscribe to it."""

    renamed: ClassVar = {
        "event_type": "subscriptions__event_type",
        "provider_name": "integration_type",
        "display_name": "name",
    }


class IntegrationNames:
    """``TenantIntegration(event_type=…, provider_name=…, display_name=…)``; put it before the model's other bases.

    ``event_type`` is for code that knows one event type per integration: setting it subscribes when the row is saved,
    reading it gives the first subscription. See `TenantIntegration.subscribe` for several.
    """

    provider_name = Renamed("integration_type")
    display_name = Renamed("name")

    @property
    def event_type(self: Any) -> str:
        """The first subscribed event type, "" if there is none."""
        first = self.subscriptions.order_by("id").values_list("event_type", flat=True).first() if self.pk else None
        return first or ""

    @event_type.setter
    def event_type(self: Any, value: str) -> None:
        self.subscribe_when_saved(value)
