"""Configurations of the whole installation: which systems it talks to, switched on or off, with their credentials.

A tenant's own destinations are `TenantIntegration`s; these belong to nobody but the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models
from django.db.models.signals import class_prepared, post_delete, post_save

from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.fields import EncryptedJSON, EncryptedText
from integrations.database import clock
from integrations.errors import EncryptionError, IncompatibleConnector, UnknownConnector

from .accessors import Address, Credential, Setting
from .cache import forget_after_commit


def _watch(sender: type[models.Model], **_: Any) -> None:
    """Forget what is cached of a configuration as soon as one is saved or deleted, a host's own models included."""
    if issubclass(sender, AbstractConfiguration):
        # By sender: a listener to the deletions of every model would cost Django's fast ones.
        post_save.connect(forget_after_commit, sender=sender, dispatch_uid="configuration")
        post_delete.connect(forget_after_commit, sender=sender, dispatch_uid="configuration")


class AbstractConfiguration(models.Model):
    """Base of a host's own configuration: a model of one row, read with ``config.get_singleton(Model)``.

    A second row is refused by the database: both would have the key 1.
    """

    only_pk: ClassVar[int | None] = 1

    enabled = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding and self.only_pk is not None:
            self.pk = self.only_pk
            kwargs.setdefault("force_insert", True)
        super().save(*args, **kwargs)


class_prepared.connect(_watch, dispatch_uid="configuration")


class OfOneName(models.Manager[Any]):
    """The one row of a proxy."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(name=self.model.of)


class IntegrationConfiguration(AbstractConfiguration):
    """One system of the whole installation: switch, address, credentials. Its name is its connector's key.

    Address and credentials are encrypted at rest and bound to the name: copied to another row they do not open.
    """

    only_pk = None  # a row per name
    of: ClassVar[str] = ""  # the name of a proxy's row
    needs: ClassVar[tuple[str, ...] | None] = None  # settings without which nothing works; None: as the manifest says
    uses: ClassVar[tuple[str, ...] | None] = None  # settings that mean something here; None: all of the manifest

    name = models.CharField(max_length=50, unique=True)
    url_encrypted = models.TextField(blank=True, default="", editable=False)
    credentials_encrypted = models.TextField(blank=True, default="", editable=False)
    config = models.JSONField(default=dict, blank=True)
    rotated_at = models.DateTimeField("credentials changed", null=True, blank=True, editable=False)

    url = EncryptedText("url_encrypted")
    credentials = EncryptedJSON("credentials_encrypted")

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        ordering = ["name"]
        verbose_name = "system integration"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.of and not args:
            kwargs.setdefault("name", self.of)  # before the secrets, which are bound to it
        super().__init__(*args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding and self.rotated_at is None and self.credentials_encrypted:
            self.rotated_at = clock.now()
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.name

    def encryption_context(self) -> str:
        return f"system:{self.name}" if self.name else ""

    @property
    def settings(self) -> dict[str, Any]:
        """All of it in one flat dict, decrypted, as connectors want it."""
        return Binding(self.url, {}, self.credentials, self.config).settings

    def needed_settings(self) -> tuple[str, ...]:
        """Return the names of the settings without which nothing works."""
        if self.needs is not None:
            return self.needs
        fields = ConnectorRegistry.type_of(self.name).manifest.fields
        return tuple(field.name for field in fields if field.required and field.default is None)

    def used_settings(self) -> tuple[str, ...]:
        """Return the names of the settings that mean something without deliveries."""
        if self.uses is not None:
            return self.uses
        return tuple(field.name for field in ConnectorRegistry.type_of(self.name).manifest.fields)

    def missing(self) -> list[str]:
        """Return the names of the needed settings that are empty."""
        settings = self.settings
        return [name for name in self.needed_settings() if settings.get(name) in (None, "", [])]

    def apply_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace all settings (not saved): what the connector's manifest calls a secret is encrypted.

        Without a connector of this name, everything is.
        """
        try:
            binding = Binding.from_settings(ConnectorRegistry.type_of(self.name).manifest, settings)
        except (UnknownConnector, IncompatibleConnector):
            binding = Binding(credentials=dict(settings))
        try:
            is_same = dict(binding.credentials) == self.credentials
        except EncryptionError:
            is_same = False  # nobody can tell; whoever sets them again has them from elsewhere
        if not is_same:
            self.rotated_at = clock.now()
        self.url = binding.url
        self.credentials = dict(binding.credentials)
        self.config = dict(binding.config)


class GitHubConfiguration(IntegrationConfiguration):
    of = "github"
    needs = ("token",)  # the repository is an argument of each call
    uses = ("token", "repository", "base_url", "api_version")

    github_token = Credential("token")
    github_base_url = Setting("base_url")

    objects: ClassVar[models.Manager[Any]] = OfOneName()

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "GitHub configuration"


class WeaviateConfiguration(IntegrationConfiguration):
    of = "weaviate"
    uses = ("url", "api_key", "collection")

    weaviate_url = Address()
    weaviate_api_key = Credential("api_key")

    objects: ClassVar[models.Manager[Any]] = OfOneName()

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "Weaviate configuration"


class GraphConfiguration(IntegrationConfiguration):
    of = "microsoft_graph"
    uses = ("tenant_id", "client_id", "client_secret", "sender", "base_url", "login_url")

    graph_tenant_id = Setting("tenant_id")
    graph_client_id = Setting("client_id")
    graph_client_secret = Credential("client_secret")
    graph_sender = Setting("sender")

    objects: ClassVar[models.Manager[Any]] = OfOneName()

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "Microsoft Graph configuration"


class OpenAIConfiguration(IntegrationConfiguration):
    of = "openai"

    openai_api_key = Credential("api_key")
    openai_model = Setting("model")
    openai_base_url = Setting("base_url")

    objects: ClassVar[models.Manager[Any]] = OfOneName()

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "OpenAI configuration"


class GeminiConfiguration(IntegrationConfiguration):
    of = "gemini"

    gemini_api_key = Credential("api_key")
    gemini_model = Setting("model")
    gemini_base_url = Setting("base_url")

    objects: ClassVar[models.Manager[Any]] = OfOneName()

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "Gemini configuration"
