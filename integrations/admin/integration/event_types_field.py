"""The event types of an integration: a row per type with a checkbox and, if wanted, a condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from integrations.connections import event_types
from integrations.connections.conditions import validate_condition
from integrations.connections.models import TenantIntegration
from integrations.connectors.manifest import Manifest

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
