"""The admin's form of a tenant integration: what every integration has (``Meta``), its event types and what it may do
when it calls back, around the settings that its connector type asks for (forms/settings_form.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from integrations.admin.tenancy.scoped_admin import TenantOwnedForm
from integrations.connections import event_types
from integrations.connections.access import may_use
from integrations.connections.conditions import validate_condition
from integrations.connections.models import LIMITS, SIGNING, TenantIntegration
from integrations.connectors.manifest import Manifest
from integrations.forms.inbound_actions import CallsBackForm

MAX_CONDITION = 500


class EventTypesWidget(forms.Widget):
    """Checkboxes ``name=<type>`` with a text ``name-condition-<type>`` beside each."""

    template_name = "admin/integrations/event_types.html"
    use_fieldset = True
    offered: list[tuple[str, str]] | None = None  # None: all there are

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        chosen: dict[str, str] = value or {}
        every = dict(TenantIntegration.EVENT_TYPES)
        labels = every if self.offered is None else dict(self.offered)
        # Subscribed types that nothing emits any more, or that cannot be sent there, stay visible: to be removed.
        for key in chosen:
            labels.setdefault(key, f"{key} ({'cannot be sent there' if key in every else 'no longer emitted'})")
        context["rows"] = [
            {
                "type": key,
                "label": label,
                "chosen": key in chosen,
                "condition": chosen.get(key, ""),
                "id": f"{context['widget']['attrs'].get('id', name)}_{number}",
            }
            for number, (key, label) in enumerate(labels.items())
        ]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, str]:
        chosen = data.getlist(name) if hasattr(data, "getlist") else data.get(name, [])
        return {key: data.get(f"{name}-condition-{key}", "").strip() for key in chosen}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False  # no box ticked is an answer


class EventTypesField(forms.Field):
    """``{event_type: condition}``; "" is no condition."""

    widget = EventTypesWidget
    manifest: Manifest | None = None
    versions: Mapping[str, int] = {}  # of the payload that conditions are about, where it is not the newest

    def offer(self, manifest: Manifest) -> None:
        """Offer what this kind of system can take."""
        self.manifest = manifest
        if isinstance(self.widget, EventTypesWidget):
            self.widget.offered = event_types.offered_to(manifest)

    def clean(self, value: dict[str, str]) -> dict[str, str]:
        known_conditions: dict[str, str] = self.initial or {}
        every = dict(TenantIntegration.EVENT_TYPES)
        offered = (every if self.manifest is None else dict(event_types.offered_to(self.manifest))) | known_conditions
        # Ticks of another kind, which was chosen before this one, are none of this one's.
        value = {name: condition for name, condition in value.items() if name in offered or name not in every}
        errors = []
        for event_type, condition in value.items():
            if event_type not in offered:
                errors.append(f"There is no event type {event_type[:50]!r}.")
            elif len(condition) > MAX_CONDITION:
                errors.append(f"{event_type}: the condition is longer than {MAX_CONDITION} characters.")
            elif condition and condition != known_conditions.get(event_type):  # an old one may stay
                try:
                    validate_condition(condition, event_type, self.versions.get(event_type))
                except ValidationError as error:
                    errors += [f"{event_type}: {message}" for message in error.messages]
        if errors:
            raise ValidationError(errors)
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or {}) != (data or {})


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
