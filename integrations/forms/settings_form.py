"""The settings of an integration in a form: nothing secret goes out, nothing unusable comes in.

What the connector wants is said by its manifest; this form knows no type by name. It knows when it is stale: it carries
the row's ``updated_at``, and refuses to save over what somebody else saved (or a rotated secret) since.
"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.connections.settings import apply_settings, checked_change, kept_elsewhere
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.database.clock import now as clock_now
from integrations.pages.display import clock
from integrations.tenancy.tenant import tenant_model

from .connector_form import ConnectorForm
from .fields import OPEN, form_name, settings_from

STALE = gettext_lazy(
    "Somebody else changed this integration at {time}, after you opened this page, so nothing was saved. "
    "Open the page again and repeat your changes."
)
ELSEWHERE = gettext_lazy("The address is on another server: type this again, or empty it.")


class SettingsForm(ConnectorForm):
    """Base of the forms about an integration's settings; what every integration has is in a subclass's ``Meta``.

    Attributes:
        settings: after `is_valid`: the flat settings to store.
        columns: after `save`: the columns to write; empty when nothing changed.
    """

    version = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings: dict[str, Any] = {}
        self.columns: list[str] = []
        self.version_before = self.instance.connector_version
        if self.instance.pk is not None:
            self.show("version", self.instance.updated_at.isoformat())

    # -- checking ---------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk is not None:
            self._refuse_stale()
        if self.connector is not None:
            self._check_settings(self.connector, settings_from(self.connector.manifest, cleaned, self.stored))
            if not self.connector.manifest.allow_multiple:
                self._take_turns(cleaned)
        return cleaned

    def _check_settings(self, connector: type[BaseConnector], typed: dict[str, Any]) -> None:
        self.settings, problems = checked_change(connector, typed, self.stored)
        for name, problem in problems.items():
            self._complain(name, sentence(problem))
        for name in kept_elsewhere(connector, self.stored, self.settings, self._entered(connector.manifest)):
            self._complain(name, str(ELSEWHERE))

    def _complain(self, name: str, problem: str) -> None:
        """Say what is wrong with a setting at its field, once."""
        assert self.connector is not None  # noqa: S101 - settings are those of a connector
        place = OPEN if self.connector.manifest.is_open else form_name(name)
        if place not in self.errors:
            self.add_error(place if place in self.fields else None, problem)

    def _entered(self, manifest: Manifest) -> dict[str, Any]:
        """Return what the browser sent for each setting, dots included; headers one by one."""
        if manifest.is_open:
            typed = self.cleaned_data.get(OPEN)
            return typed if isinstance(typed, dict) else {}
        entered = {field.name: self.posted(form_name(field.name)) or "" for field in manifest.fields}
        try:
            headers = json.loads(entered.get(HEADERS) or "{}")
        except (ValueError, RecursionError):
            headers = {}
        return {**entered, HEADERS: headers if isinstance(headers, dict) else {}}

    def _refuse_stale(self) -> None:
        row = TenantIntegration.unannounced.select_for_update().filter(pk=self.instance.pk)
        updated_at = row.values_list("updated_at", flat=True).first()
        if updated_at is None:
            raise ValidationError(_("Somebody else deleted this integration."))
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


def sentence(problem: str) -> str:
    """Return "must be a whole number" as "Must be a whole number."; a host at the beginning stays as it is."""
    is_word = problem.split(" ")[0].rstrip(";:,").isalpha()
    text = problem[:1].upper() + problem[1:] if is_word else problem
    return text if text.endswith((".", "!", "?")) else f"{text}."
