"""The form of a host's connection: credentials and configuration as JSON in which a secret is only ever dots.

In: what a person types. Out: an instance with its credentials encrypted. Whether they are right is said by the
connector's manifest, with the field's name and what to do.
"""

from __future__ import annotations

from typing import Any

from django import forms

from integrations.admin.widgets.masked_json import MaskedJSONField
from integrations.connections.destinations import destinations
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check, check_inbound_secret, doubts
from integrations.connectors.inbound_secret import INBOUND_SECRET
from integrations.connectors.manifest import HEADERS, URL, Field
from integrations.errors import EncryptionError
from integrations.forms.choice import connector_of, grouped_choices
from integrations.transport.redaction import is_secret_name

CREDENTIALS, CONFIG, PROVIDER, FAMILY = "credentials", "config", "provider_name", "provider_family"
UNREADABLE = "The stored credentials cannot be opened with our keys. Put the old key back, or enter everything again."
ELSEWHERE = "The address is on another server: type {names} again instead of the dots, or remove it."
REPLACE = "Nobody knows which of these is an address: to change one, type {names} again instead of the dots."
AGAIN = "Please type the secrets again: they are never sent back to the browser."
_SIGNING_KEYS = "signing_keys"  # stored among the credentials; no person types them


class ConnectionForm(forms.ModelForm):
    """Everything that a person sets on a connection; what happens to it at run time is not among it.

    Attributes:
        connector: the chosen kind; None: not chosen yet, or not installed (any more).
        columns: after `is_valid`, of a connection that is there already: the columns to write.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connector = self._connector()
        self.stored, self.is_unreadable = self._stored()
        self.columns: list[str] = []
        if CREDENTIALS in self.fields:
            self._draw_credentials()
        if CONFIG in self.fields:
            self._draw_config()
        if PROVIDER in self.fields:
            self._draw_provider()

    def _connector(self) -> type[BaseConnector] | None:
        if self.instance.pk is not None:
            return connector_of(self.instance.connector_key)
        chosen = self.data.get(self.add_prefix(PROVIDER)) if self.is_bound else self.initial.get(PROVIDER)
        return connector_of(chosen)

    def _stored(self) -> tuple[dict[str, Any], bool]:
        if self.instance.pk is None:
            return {}, False
        try:
            return {**self.instance.credentials}, False
        except EncryptionError:
            return {}, True

    # -- drawing ----------------------------------------------------------------------------------

    def _draw_credentials(self) -> None:
        self.fields[CREDENTIALS] = MaskedJSONField(
            stored={name: value for name, value in self.stored.items() if name != _SIGNING_KEYS},
            is_secret=self._is_secret_credential,
            empty=tuple(field.name for field in self._wanted()) if self.instance.pk is None else (),
            label="Credentials",
            help_text=self._advice(),
        )

    def _draw_config(self) -> None:
        before = self.fields[CONFIG]
        self.fields[CONFIG] = MaskedJSONField(
            # A text that nobody parsed must not keep a person from mending it here.
            stored=self.instance.config if isinstance(self.instance.config, dict) else {},
            is_secret=self._is_secret_config,
            label=before.label,
            help_text=before.help_text or "Settings that are not secret, as JSON.",
        )
        self.initial[CONFIG] = self.fields[CONFIG].initial  # else a form of a model shows the column itself

    def _draw_provider(self) -> None:
        choices = grouped_choices(None)
        self.fields[PROVIDER] = forms.ChoiceField(
            choices=choices,
            label=self.fields[PROVIDER].label,
            help_text="Fixed once it is saved: the secrets belong to it.",
        )

    def _wanted(self) -> list[Field]:
        """Return the manifest's fields that a new connection needs somebody to type."""
        if self.connector is None or self.connector.manifest.is_open:
            return []
        fields = self.connector.manifest.fields
        return [field for field in fields if field.is_secret or (field.required and field.default is None)]

    def _advice(self) -> str:
        text = 'A JSON object such as {"name": "value"}. Dots stand for a stored secret; a name left out is removed.'
        if self.connector is None or self.connector.manifest.is_open:
            return text
        names = ", ".join(field.name for field in self.connector.manifest.fields)
        return f"{text} {self.connector.manifest.label} has: {names}."

    def _is_secret_credential(self, name: str) -> bool:
        """What came as a credential is one, unless the manifest says that it may be shown."""
        field = self._field(name)
        return field is None or field.is_secret or name in (URL, HEADERS)

    def _is_secret_config(self, name: str) -> bool:
        field = self._field(name)
        return name in (URL, HEADERS) or (is_secret_name(name) if field is None else field.is_secret)

    def _field(self, name: str) -> Field | None:
        return None if self.connector is None else self.connector.manifest.field(name)

    # -- checking ---------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.connector is not None and self.instance.pk is None:
            # Here, so that a rule "one of a kind for each customer" is checked with them.
            self.instance.provider_family = self.connector.manifest.family
            self.instance.provider_name = self.connector.manifest.key
        if CREDENTIALS in cleaned:
            cleaned[CREDENTIALS] = {name: value for name, value in cleaned[CREDENTIALS].items() if value != ""}
            if self.is_unreadable and self._changes(CONFIG) and not cleaned[CREDENTIALS]:
                self.add_error(CREDENTIALS, UNREADABLE)
        if self._settings_changed:
            if self.connector is not None:
                self._check(self.connector, cleaned)
            elif self.instance.pk is not None:
                self._refuse_to_send_secrets_elsewhere(None, {})
        return cleaned

    @property
    def _settings_changed(self) -> bool:
        return self.instance.pk is None or self._changes(CREDENTIALS) or self._changes(CONFIG)

    def _changes(self, name: str) -> bool:
        return name in self.fields and name in self.changed_data

    def _check(self, connector: type[BaseConnector], cleaned: dict[str, Any]) -> None:
        credentials = cleaned.get(CREDENTIALS, self.stored)
        config = cleaned.get(CONFIG, self.instance.config)
        if self.errors or not isinstance(config, dict):
            return
        own = {name: value for name, value in credentials.items() if name != _SIGNING_KEYS}
        settings = {**config, **own}
        before = {**self.instance_config, **self.stored}
        found, problems = check(connector.manifest, settings, before)
        for name, value in own.items():  # spaces that were pasted around a secret are gone there
            if isinstance(value, str) and isinstance(found.get(name), str) and value != self.stored.get(name):
                credentials[name] = found[name]
        problems = problems or connector.validate_change(found, before) or doubts(connector.manifest, found, before)
        for name, problem in problems.items():
            is_unknown = connector.manifest.field(name) is None
            if is_unknown and (name not in own or name in self.stored):
                continue  # a host keeps settings of its own here
            self._complain(CONFIG if name in config and name not in own else CREDENTIALS, f"{name}: {problem}.")
        if INBOUND_SECRET in config and not connector.manifest.is_open and self._field(INBOUND_SECRET) is None:
            problem = check_inbound_secret(config[INBOUND_SECRET], self.instance_config.get(INBOUND_SECRET))
            if problem:
                self._complain(CONFIG, f"{INBOUND_SECRET}: {problem}.")
        if self.instance.pk is not None:
            self._refuse_to_send_secrets_elsewhere(connector, settings)

    def _refuse_to_send_secrets_elsewhere(
        self, connector: type[BaseConnector] | None, settings: dict[str, Any]
    ) -> None:
        """A stored secret goes to the server it was entered for: pointed elsewhere, it must be typed again.

        Otherwise whoever may edit the form could read every secret behind the dots by having it sent to them. Of a
        connector that names no fields nobody knows which value is an address: there, any change counts.
        """
        before = {**self.instance_config, **self.stored}
        is_known = connector is not None and not connector.manifest.is_open
        if connector is not None and is_known and destinations(connector, settings) <= destinations(connector, before):
            return
        for place in (CREDENTIALS, CONFIG):
            if kept := self._kept_secrets(place):
                problem = ELSEWHERE if is_known else REPLACE
                self._complain(place, problem.format(names=", ".join(sorted(kept))))

    def _kept_secrets(self, place: str) -> set[str]:
        """Return the names of the stored secrets that this form would leave as they are."""
        field, posted = self.fields.get(place), self.data.get(self.add_prefix(place))
        if isinstance(field, MaskedJSONField) and posted is not None:
            return field.masks_of(posted)
        stored, is_secret = self.stored, self._is_secret_credential
        if place == CONFIG:
            stored, is_secret = self.instance_config, self._is_secret_config
        return {name for name, value in stored.items() if value and name != _SIGNING_KEYS and is_secret(name)}

    @property
    def instance_config(self) -> dict[str, Any]:
        """The stored configuration: the form's own field remembers it from before it was filled in."""
        field = self.fields.get(CONFIG)
        stored = field.stored if isinstance(field, MaskedJSONField) else self.instance.config
        return stored if isinstance(stored, dict) else {}

    def _complain(self, place: str, problem: str) -> None:
        self.add_error(place if place in self.fields else None, problem)

    def full_clean(self) -> None:
        super().full_clean()
        if not self.is_bound or not self.errors:
            return
        for name in (CREDENTIALS, CONFIG):
            field = self.fields.get(name)
            posted = self.data.get(self.add_prefix(name))
            if isinstance(field, MaskedJSONField) and name not in self.errors and field.forgets(posted):
                self.add_error(name, AGAIN)

    def _get_validation_exclusions(self) -> set[str]:
        # One of a kind for each customer: the rule is about columns that `clean` fills in.
        return super()._get_validation_exclusions() - {PROVIDER, FAMILY}  # type: ignore[misc]

    # -- saving -----------------------------------------------------------------------------------

    def save(self, commit: bool = True) -> Any:
        """Put the credentials on the instance; ``columns`` are then those to save."""
        instance = self.instance
        concrete = {field.name for field in type(instance)._meta.concrete_fields}
        self.columns = [name for name in self.changed_data if name in concrete]
        if CREDENTIALS in self.cleaned_data and (self._changes(CREDENTIALS) or instance.pk is None):
            kept = {_SIGNING_KEYS: self.stored[_SIGNING_KEYS]} if _SIGNING_KEYS in self.stored else {}
            instance.credentials = {**self.cleaned_data[CREDENTIALS], **kept}
            self.columns.append("credentials_encrypted")
        if self.connector is not None and self._settings_changed:
            instance.connector_version = self.connector.manifest.version
            self.columns.append("connector_version")
        return super().save(commit)
