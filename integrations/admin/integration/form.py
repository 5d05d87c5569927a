"""The admin's form of a tenant integration: what every integration has (``Meta``), its event types and what it may do
when it calls back, around the settings that its connector type asks for (forms/settings_form.py)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from integrations.admin.tenancy.scoped_admin import TenantOwnedForm
from integrations.connections.access import may_use
from integrations.connections.models import TenantIntegration
from integrations.forms.choice import offers_actions
from integrations.forms.fields import form_name
from integrations.forms.settings_form import SettingsForm, sentence
from integrations.inbound.actions import not_theirs

from .event_types_field import EventTypesField
from .inbound_actions_field import InboundActionsField

NEW_SECRET = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'  # noqa: S105 - a command


class IntegrationForm(SettingsForm, TenantOwnedForm):
    """Everything that a person sets on an integration; run-time switches are not among it."""

    event_types = EventTypesField(
        required=False,
        help_text="Tick what this destination wants to hear of. A condition is a JMESPath expression over the "
        "payload, for example changes.total != null; empty: always.",
    )
    inbound_actions = InboundActionsField()

    class Meta:
        model = TenantIntegration
        fields = (
            "tenant",
            "name",
            "integration_type",
            "is_active",
            "is_signed",
            "renew_secret_days",
            "ordering",
            "max_in_flight",
            "rate_limit_per_minute",
            "timeout_seconds",
            "max_attempts",
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
        self._offer_actions()
        events = self.fields.get("event_types")
        if isinstance(events, EventTypesField) and self.connector is not None:
            events.offer(self.connector.manifest)
        if self.instance.pk is not None:
            subscriptions = self.instance.subscriptions.order_by("id").values_list("event_type", "condition")
            self.show("event_types", dict(subscriptions))

    def _offer_actions(self) -> None:
        field = self.fields.get("inbound_actions")
        connector = self.connector
        if connector is None or not offers_actions(connector, self.instance):
            self.fields.pop("inbound_actions", None)
            return
        if isinstance(field, InboundActionsField):
            field.offer(self.instance)
        inbound = connector.manifest.inbound
        secret = self.fields.get(form_name(inbound.secret_field)) if inbound is not None else None
        if secret is not None:
            secret.help_text = format_html("{} To make one: <code>{}</code>", mark_safe(secret.help_text), NEW_SECRET)  # noqa: S308 - escaped where it was made

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

    def clean_inbound_actions(self) -> list[str]:
        names: list[str] = self.cleaned_data["inbound_actions"]
        if problem := not_theirs(self.user, names, self.initial.get("inbound_actions") or ()):
            raise ValidationError(sentence(problem))
        return names

    def save_event_types(self) -> None:
        """Write the subscriptions; those that stay keep their rows."""
        if "event_types" not in self.changed_data:
            return
        wanted: dict[str, str] = self.cleaned_data["event_types"]
        self.instance.subscribe(*wanted, conditions=wanted)
