"""The columns of a connection, and what subclasses override. abstract.py has what callers use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models

from integrations.auth.token import TokenStore
from integrations.connectors.manifest import HEADERS, URL
from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.fields import EncryptedJSON, row_context
from integrations.errors import ConfigurationError
from integrations.tenancy.checked_texts import CheckedTexts

from .remembered import Remembered, still_known

if TYPE_CHECKING:
    from .grants import AbstractGrant

SIGNING_KEYS = "signing_keys"  # in the credentials, beside the fields of the manifest


class ConnectionRow(CheckedTexts):
    """Which provider, with what credentials, and whether it works."""

    _family_read: tuple[str, Any]  # family and name of the provider, as they were read
    _stored: Remembered  # run-time columns as they are in the database, as far as this instance knows

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    provider_family = models.CharField(max_length=50, blank=True)
    provider_name = models.CharField(max_length=50)
    display_name = models.CharField(max_length=200, blank=True)
    connector_version = models.CharField(max_length=30, blank=True, editable=False)  # that wrote these settings
    credentials_encrypted = models.TextField(blank=True, default="", editable=False)
    config = models.JSONField(default=dict, blank=True)

    is_enabled = models.BooleanField(
        "enabled", default=True, help_text="Our switch: off after three wrong-credential answers or a 410."
    )
    is_connected = models.BooleanField("connected", default=False, help_text="Result of the last test.")
    last_test_at = models.DateTimeField("last successful test", null=True, blank=True, editable=False)
    auth_failure_count = models.PositiveIntegerField(default=0, editable=False)
    last_auth_failure_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=500, blank=True, editable=False)

    credentials = EncryptedJSON("credentials_encrypted")

    # Labels that a renamed model had before its secrets were bound to the row alone: ("connectors.shop",)
    former_labels: ClassVar[tuple[str, ...]] = ()

    has_lane: ClassVar[bool] = False  # TenantIntegration has one: events are delivered to it
    is_signed: Any = False  # TenantIntegration makes it a column: its requests carry our signature

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.display_name or self.connector_key

    @property
    def is_operational(self) -> bool:
        """True when something could be asked: switched on, and the last test passed."""
        return self.is_enabled and self.is_connected

    def remember(self, values: Mapping[str, Any]) -> None:
        """Take it that the row has these run-time columns, until a rollback takes that back."""
        if (known := still_known(self.__dict__.get("_stored"))) is not None:
            self._stored = known.then(values, self._state.db)

    # -- what a subclass may say differently ------------------------------------------------------------

    @property
    def connector_key(self) -> str:
        """The registered name of the connector."""
        return self.provider_name

    @property
    def accepts_webhooks(self) -> bool:
        """False: to a provider that calls back, this connection does not exist."""
        return True

    def encryption_context(self) -> str:
        """Return what the ciphertexts of this row are bound to; in another row they do not open.

        The unique public id, and not the model's name: a proxy, a child class or a renamed model reads the same row. A
        host that wants them bound to its tenant too overrides this.
        """
        return row_context("connection", self.public_id)

    def former_encryption_contexts(self) -> Iterator[str]:
        """Yield what ciphertexts were bound to before: the model's label, or that of a class with the same rows."""
        for label in dict.fromkeys([*self.former_labels, *_labels(type(self))]):
            yield row_context(label.lower(), self.public_id)

    def stored_config(self) -> dict[str, Any]:
        """Return `config`.

        Raises:
            ConfigurationError: it is no object; a JSON column takes a text too, such as a form's unparsed one.
        """
        if not isinstance(self.config, dict):
            raise ConfigurationError({"config": "must be an object of names and values; assign a dict and save"})
        return self.config

    def stored_binding(self) -> Binding:
        """Return the stored settings, decrypted, in the parts that a connector gets: the one reading of a row."""
        credentials = self.credentials
        manifest = ConnectorRegistry.type_of(self.connector_key).manifest
        own = {name: value for name, value in credentials.items() if name != SIGNING_KEYS}
        settings = {**self.stored_config(), **own}
        url, headers = str(settings.pop(URL, "") or ""), settings.pop(HEADERS, None) or {}
        known = {field.name for field in manifest.fields if not field.is_secret}
        # What came as a credential is one, unless the manifest says that it may be shown.
        secret = {name for name in settings if name in manifest.secret_names or name in credentials.keys() - known}
        return Binding(
            url=url,
            headers=headers,
            credentials={name: settings[name] for name in settings if name in secret},
            config={name: settings[name] for name in settings if name not in secret},
            signing_keys=credentials.get(SIGNING_KEYS) or (),
        )

    def log_ids(self) -> dict[str, Any]:
        """Return what lines of the log say of this connection beside their words."""
        return {"connection_id": self.pk, "connector": self.connector_key}

    @classmethod
    def oauth_grant_model(cls) -> type[AbstractGrant]:
        """Return the model of the grants of such connections."""
        raise NotImplementedError

    def token_store(self) -> TokenStore | None:
        """Return where OAuth tokens are kept; None: in memory."""
        return None

    @property
    def request_timeout(self) -> float | None:
        """Seconds for one request; None: the connector's, or the setting."""
        return None


def _labels(model: type[models.Model]) -> list[str]:
    """Return the labels of `model` and of all models that read the same rows: its parents, proxies and children."""
    family = [base for base in model.__mro__ if issubclass(base, ConnectionRow) and not base._meta.abstract]
    relatives = (other for other in model._meta.apps.get_models() if issubclass(other, family[-1]))
    return [relative._meta.label_lower for relative in (*family, *relatives)]
