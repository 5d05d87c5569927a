"""The admin's form of a tenant integration: what every integration has (``Meta``), its event types and what it may do
when it calls back, around the settings that its connector type asks for (forms/settings_form.py)."""

from __future__ import annotations

from typing import Any

from integrations.admin.tenancy.scoped_admin import TenantOwnedForm
from integrations.connections.access import may_use
from integrations.connections.models import LIMITS, SIGNING, TenantIntegration
from integrations.forms.inbound_actions import CallsBackForm

from .event_types_field import EventTypesField


class IntegrationForm(CallsBackForm, TenantOwnedForm):
    """Everything that a person sets on an integration; run-time switches are not among it."""

    event_types = EventTypesField(
        required=False,
        help_text="Tick what this destination wants to hear of. A condition is a JMESPath expression over the "
        "payload, for example changes.total != null; empty: always.",
    )

    class Meta:
        model = TenantIntegration
        fields = (
            "tenant",
            "name",
            "integration_type",
            "is_active",
            *SIGNING,
            *LIMITS,
            "inbound_actions",
        )
        help_texts = {
            "integration_type": "What it talks to; its own fields appear below. Fixed once it is saved: the stored "
            "secrets belong to it.<noscript> Choose it and press Save: nothing is saved before its fields are filled "
            "in.</noscript>",
            "is_active": "Off: no event is queued for it, and what is pending is cancelled.",
            "is_signed": "Sign every request (Standard Webhooks). The secret is shown once, right after saving.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        events = self.fields.get("event_types")
        if isinstance(events, EventTypesField) and self.connector is not None:
            events.offer(self.connector.manifest)
        if self.instance.pk is not None:
            subscriptions = list(self.instance.subscriptions.order_by("id"))
            self.show("event_types", {each.event_type: each.condition for each in subscriptions})
            if isinstance(events, EventTypesField):
                events.versions = {each.event_type: each.payload_version for each in subscriptions}

    # -- checking and saving ----------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk is None and self._is_anothers_family(cleaned.get("tenant")):
            self.add_error("integration_type", "Connectors of this family are not yours to use for this tenant.")
        return cleaned

    def _is_anothers_family(self, tenant: Any) -> bool:
        """Tell whether the choice offered a type for one tenant of theirs that is not theirs to use for this one."""
        if self.connector is None or tenant is None or self.user is None:
            return False
        return not may_use(self.user, self.connector.manifest, tenant)

    def save_event_types(self) -> None:
        """Write the subscriptions; those that stay keep their rows."""
        if "event_types" not in self.changed_data:
            return
        wanted: dict[str, str] = self.cleaned_data["event_types"]
        self.instance.subscribe(*wanted, conditions=wanted)
