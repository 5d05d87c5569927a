"""The form of a system-wide integration: a switch, and the fields of the connector of its name.

Nothing secret goes out. It may be saved incomplete while it is switched off.
"""

from __future__ import annotations

from typing import Any

from django import forms

from integrations.configuration.models import IntegrationConfiguration
from integrations.connections.destinations import destinations
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check, doubts
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.masking import MASK
from integrations.errors import EncryptionError
from integrations.forms.fields import fields_for, form_name, settings_from
from integrations.forms.settings_form import ELSEWHERE, sentence

UNREADABLE = "The stored credentials cannot be opened with our keys. Put the old key back, or enter everything again."


class SystemForm(forms.ModelForm):
    """The form of one configuration.

    Attributes:
        stored: the stored settings, flat and decrypted; {} if they do not open with our keys (`is_unreadable`).
        settings: after `is_valid`: the flat settings to store.
    """

    instance: IntegrationConfiguration

    class Meta:
        model = IntegrationConfiguration
        fields = ("enabled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connector: type[BaseConnector] = ConnectorRegistry.type_of(self.instance.name)
        self.is_unreadable = False
        try:
            self.stored = self.instance.settings
        except EncryptionError:
            self.stored, self.is_unreadable = {}, True
        self.settings: dict[str, Any] = {}
        drawn = fields_for(self.connector.manifest, self.stored)
        names = [form_name(name) for name in self.instance.used_settings()]
        self.connector_fields = {name: drawn[name] for name in names if name in drawn}
        for field in self.connector_fields.values():
            field.required = False  # what is needed depends on the switch
        self.fields.update(self.connector_fields)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        manifest, used = self.connector.manifest, self.instance.used_settings()
        typed = {name: value for name, value in self.stored.items() if name not in used}
        typed |= settings_from(manifest, cleaned, self.stored)
        found, problems = check(manifest, typed, self.stored)
        problems = problems or doubts(manifest, found, self.stored)
        self.settings = {name: found[name] for name in typed if name in found}
        for name, problem in problems.items():
            is_empty = typed.get(name) in (None, "", [])
            if not is_empty or (cleaned.get("enabled") and name in self.instance.needed_settings()):
                self._complain(name, sentence(problem))
        if not destinations(self.connector, self.settings) <= destinations(self.connector, self.stored):
            # A stored secret goes to the server that it was entered for, and to no other.
            for name in manifest.secret_names:
                if self.stored.get(name) and MASK in str(self.data.get(self.add_prefix(form_name(name))) or ""):
                    self._complain(name, str(ELSEWHERE))
        if self._is_changed and self.is_unreadable and not any(self.settings.get(n) for n in manifest.secret_names):
            self.add_error(None, UNREADABLE)  # else what the old key could still open would be lost
        return cleaned

    @property
    def _is_changed(self) -> bool:
        return not self.connector_fields.keys().isdisjoint(self.changed_data)

    def _complain(self, name: str, problem: str) -> None:
        place = form_name(name)
        if place not in self.errors:
            self.add_error(place if place in self.fields else None, problem)

    def save(self, commit: bool = True) -> Any:
        if self._is_changed or self.instance.pk is None:
            self.instance.apply_settings(self.settings)
        return super().save(commit)
