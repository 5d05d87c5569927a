"""The form of a tenant integration: nothing secret goes out, nothing unusable comes in.

What the connector wants is said by its manifest; this form knows no kind by name. What every integration has is in
``Meta``. The form knows when it is stale: it carries the row's ``updated_at``, and refuses to save over what somebody
else saved (or a rotated secret) since.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from integrations.admin.connector_form.choice import offers_actions
from integrations.admin.connector_form.fields import OPEN, form_name, settings_from
from integrations.admin.connector_form.form import ConnectorForm
from integrations.clock import now as clock_now
from integrations.connections.destinations import destinations
from integrations.connections.edited_settings import apply_settings
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.credentials.masking import MASK
from integrations.display import clock
from integrations.inbound.actions import not_theirs
from integrations.tenancy.tenant import tenant_model

from .event_types_field import EventTypesField
from .inbound_actions_field import InboundActionsField

STALE = (
    "Somebody else changed this integration at {time}, after you opened this page, so nothing was saved. "
    "Open the page again and repeat your changes."
)
NEW_SECRET = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'  # noqa: S105 - a command
ELSEWHERE = "The address is on another server: type this again, or empty it."


class IntegrationForm(ConnectorForm):
    """Everything that a person sets on an integration; run-time switches are not among it.

    Attributes:
        settings: after `is_valid`: the flat settings to store.
        columns: after `save`: the columns to write; empty when nothing changed.
    """

    version = forms.CharField(required=False, widget=forms.HiddenInput)
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
        self.settings: dict[str, Any] = {}
        self.columns: list[str] = []
        self.version_before = self.instance.connector_version
        self._offer_actions()
        events = self.fields.get("event_types")
        if isinstance(events, EventTypesField) and self.connector is not None:
            events.offer(self.connector.manifest)
        if self.instance.pk is not None:
            subscriptions = self.instance.subscriptions.order_by("id").values_list("event_type", "condition")
            self.show("version", self.instance.updated_at.isoformat())
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

    # -- checking ---------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk is not None:
            self._refuse_stale()
        if self.connector is not None:
            self._check_settings(self.connector, settings_from(self.connector.manifest, cleaned, self.stored))
            if self.instance.pk is not None:
                self._refuse_to_send_secrets_elsewhere(self.connector)
            if not self.connector.manifest.allow_multiple:
                self._take_turns(cleaned)
        return cleaned

    def clean_inbound_actions(self) -> list[str]:
        names: list[str] = self.cleaned_data["inbound_actions"]
        if problem := not_theirs(self.user, names, self.initial.get("inbound_actions") or ()):
            raise ValidationError(sentence(problem))
        return names

    def _check_settings(self, connector: type[BaseConnector], typed: dict[str, Any]) -> None:
        manifest = connector.manifest
        self.settings, problems = check(manifest, typed, self.stored)
        problems = problems or connector.validate_change(self.settings, self.stored)
        for name in problems.keys() & typed.keys():
            field = manifest.field(name)
            if field is not None and field.kind == "url" and typed[name] == self.stored.get(name):
                # Not what this person typed: an operator's rule changed. The page must still let them switch it off.
                del problems[name]
                self.settings[name] = typed[name]
        for name, problem in problems.items():
            place = OPEN if manifest.is_open else form_name(name)
            if place not in self.errors:
                self.add_error(place if place in self.fields else None, sentence(problem))

    def _refuse_to_send_secrets_elsewhere(self, connector: type[BaseConnector]) -> None:
        """A stored secret goes to the server it was entered for: pointed elsewhere, it must be typed again.

        Otherwise whoever may edit the form could read every secret behind the dots by having it sent to them.
        """
        if destinations(connector, self.settings) <= destinations(connector, self.stored):
            return
        for name in (*connector.manifest.secret_names, HEADERS):
            place = form_name(name)
            if self.stored.get(name) and place in self.fields and MASK in (self.posted(place) or ""):
                self.add_error(place, ELSEWHERE)

    def _refuse_stale(self) -> None:
        row = TenantIntegration.unannounced.select_for_update().filter(pk=self.instance.pk)
        updated_at = row.values_list("updated_at", flat=True).first()
        if updated_at is None:
            raise ValidationError("Somebody else deleted this integration.")
        if updated_at.isoformat() != self.cleaned_data.get("version"):
            raise ValidationError(STALE.format(time=clock(updated_at)), code="stale")

    def _take_turns(self, cleaned: dict[str, Any]) -> None:
        """A tenant may have one active of this kind: of two people who save at once, the second is told, too."""
        tenant = cleaned.get("tenant")
        tenant_id = tenant.pk if tenant is not None else self.instance.tenant_id
        tenant_model()._base_manager.select_for_update(no_key=True).filter(pk=tenant_id).first()

    def _get_validation_exclusions(self) -> set[str]:
        # One active of a group: the constraint is about columns that are no fields of this form.
        ours = {"exclusive_group"} | ({"tenant"} if self.instance.pk is not None else set())
        return super()._get_validation_exclusions() - ours  # type: ignore[misc]

    # -- saving -----------------------------------------------------------------------------------

    def save(self, commit: bool = True) -> TenantIntegration:
        """Put the settings on the instance; ``columns`` are then those to save."""
        integration = self.instance
        concrete = {field.name for field in TenantIntegration._meta.concrete_fields}
        self.columns = [name for name in self.changed_data if name in concrete]
        if self.connector is not None:
            manifest = self.connector.manifest
            is_new = integration.pk is None
            if is_new and not manifest.signs:
                integration.is_signed = False
            is_upgrade = self.version_before != manifest.version
            if is_upgrade or not self.connector_fields.keys().isdisjoint(self.changed_data):
                self.columns += [*apply_settings(integration, self.settings), "connector_version", "exclusive_group"]
            if is_new or self._has_new_secret(manifest):
                integration.credentials_rotated_at = clock_now()
                self.columns.append("credentials_rotated_at")
        if self.columns or self.has_changed():
            self.columns.append("updated_at")
        return super().save(commit)

    def _has_new_secret(self, manifest: Manifest) -> bool:
        """Tell whether a secret was changed; an address counts if it is the only secret that there is."""
        if manifest.is_open:
            return self.settings != self.stored
        secrets = {HEADERS, *manifest.secret_names}
        if manifest.secret_path and not any(self.settings.get(name) for name in secrets):
            secrets.add(URL)
        # Empty is empty: no headers are {} in the form, and nothing in the row.
        return any((self.settings.get(name) or None) != (self.stored.get(name) or None) for name in secrets)

    @property
    def is_address_new(self) -> bool:
        """An address was entered, other than the stored one."""
        return self.settings.get(URL) != self.stored.get(URL)

    def save_event_types(self) -> None:
        """Write the subscriptions; those that stay keep their rows."""
        if "event_types" not in self.changed_data:
            return
        wanted: dict[str, str] = self.cleaned_data["event_types"]
        self.instance.subscribe(*wanted, conditions=wanted)


def sentence(problem: str) -> str:
    """Return "must be a whole number" as "Must be a whole number."; a host at the beginning stays as it is."""
    is_word = problem.split(" ")[0].rstrip(";:,").isalpha()
    text = problem[:1].upper() + problem[1:] if is_word else problem
    return text if text.endswith((".", "!", "?")) else f"{text}."
