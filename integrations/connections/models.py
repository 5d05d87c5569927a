"""What a tenant has configured: where events go, and which."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone

from integrations import conf
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Client, TestResult
from integrations.connectors.registry import ConnectorRegistry, connector_choices
from integrations.credentials.fields import EncryptedJSON, EncryptedText, row_context
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.transport import signing
from tenants.announcing import AnnouncingQuerySet
from tenants.models import TenantOwned

from . import event_types, health
from .binding import bind
from .conditions import validate_condition

# Whoever writes one of these says that the settings are those of the present connector.
_SETTINGS = frozenset({"integration_type", "webhook_url_encrypted", "credentials_encrypted", "config"})


class TenantIntegrationQuerySet(AnnouncingQuerySet):
    """Understands ``event_type=`` as "subscribed to", as the source document writes it."""

    def _filter_or_exclude(self, negate: bool, args: Any, kwargs: Any) -> Any:
        kwargs = {
            ("subscriptions__" + key if key.split("__")[0] == "event_type" else key): value
            for key, value in kwargs.items()
        }
        return super()._filter_or_exclude(negate, args, kwargs)  # type: ignore[misc]

    def operational(self) -> TenantIntegrationQuerySet:
        """Only those that are on by the tenant's switch and by ours."""
        return self.filter(is_active=True, is_enabled=True)


class _EventTypes:
    """``TenantIntegration.EVENT_TYPES``: a class attribute that reads the catalogue when asked."""

    def __get__(self, instance: object, owner: type) -> list[tuple[str, str]]:
        return event_types.choices()


class TenantIntegration(TenantOwned):
    """One tenant's configured destination: connector, address, credentials, limits, health.

    Address, headers and credentials are encrypted at rest, bound to this row and its tenant. Run-time state
    (lease, breaker, pace) is in the `Lane`, so that saving a form never overwrites it.
    """

    class Ordering(models.TextChoices):
        OBJECT = "object", "In order per object"
        NONE = "none", "Any order (fastest)"

    EVENT_TYPES = _EventTypes()

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    integration_type = models.CharField(max_length=50, choices=connector_choices)
    connector_version = models.CharField(max_length=30, blank=True, editable=False)  # that wrote these settings
    exclusive_group = models.CharField(max_length=50, blank=True, editable=False)  # "": a tenant may have several
    webhook_url_encrypted = models.TextField(blank=True, default="", editable=False)
    headers_encrypted = models.TextField(blank=True, default="", editable=False)
    credentials_encrypted = models.TextField(blank=True, default="", editable=False)
    config = models.JSONField(default=dict, blank=True)

    is_active = models.BooleanField("active", default=True, help_text="The tenant's switch.")
    is_enabled = models.BooleanField(
        "enabled", default=True, help_text="Our switch: off after three wrong-credential answers or a 410."
    )
    is_connected = models.BooleanField("connected", default=False, help_text="Result of the last test.")
    last_test_at = models.DateTimeField("last successful test", null=True, blank=True, editable=False)
    is_signed = models.BooleanField("signed", default=True, help_text="Sign every request (Standard Webhooks).")
    auth_failure_count = models.PositiveIntegerField(default=0, editable=False)
    last_auth_failure_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=500, blank=True, editable=False)
    credentials_rotated_at = models.DateTimeField(null=True, blank=True, editable=False)

    ordering = models.CharField(max_length=10, choices=Ordering.choices, default=Ordering.OBJECT)
    max_in_flight = models.PositiveSmallIntegerField(
        "requests at once",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text="How many requests this destination gets in parallel; empty: 8.",
    )
    rate_limit_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="At most so many requests a minute, evenly spaced; empty: no limit.",
    )
    timeout_seconds = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(60)],
        help_text="Total time for one request, 1 to 60; empty: 30.",
    )
    max_attempts = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Give up after so many attempts; empty: about three days of them.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    webhook_url = EncryptedText("webhook_url_encrypted")
    headers = EncryptedJSON("headers_encrypted")
    credentials = EncryptedJSON("credentials_encrypted")

    objects = TenantIntegrationQuerySet.as_manager()  # type: ignore[misc]

    class Meta(TenantOwned.Meta):
        ordering = ["name", "id"]
        verbose_name = "tenant integration"
        constraints = [
            # A connector says whether a tenant may have several at once (S2-31); only the active ones count.
            models.UniqueConstraint(
                fields=["tenant", "exclusive_group"],
                condition=models.Q(is_active=True) & ~models.Q(exclusive_group=""),
                name="one_active_of_group",
                violation_error_message="The tenant has an active integration of this kind; switch that one off first.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a new integration that signs and brings no secret gets one (rotate it to see one)."""
        before = self.connector_version
        self.clean()
        columns = kwargs.get("update_fields")
        if columns is not None and _SETTINGS.isdisjoint(columns):
            self.connector_version = before  # whoever writes no settings says nothing about who wrote them
        if columns is not None and not (_SETTINGS | {"is_active"}).isdisjoint(columns):
            kwargs["update_fields"] = {*columns, "connector_version", "exclusive_group"}
        if self._state.adding and self.is_signed and not self.credentials.get("signing_keys"):
            key = {"secret": signing.generate_secret(), "until": None}
            self.credentials = {**self.credentials, "signing_keys": [key]}
        if self._state.adding and self.credentials_rotated_at is None:
            self.credentials_rotated_at = timezone.now()
        with transaction.atomic():
            super().save(*args, **kwargs)
            if wanted := self.__dict__.pop("_wanted_event_type", ""):
                self.subscriptions.get_or_create(event_type=wanted)

    def clean(self) -> None:
        """Set what the connector decides, so that the constraint above is checked by forms too."""
        self.connector_version, self.exclusive_group = self._of_connector()

    def _of_connector(self) -> tuple[str, str]:
        """Return (connector version, exclusive group); what the row has if nobody knows its kind (any more)."""
        try:
            manifest = ConnectorRegistry.type_of(self.integration_type).manifest
        except (UnknownConnector, IncompatibleConnector):
            return self.connector_version, self.exclusive_group
        is_alone = not manifest.allow_multiple and manifest.family not in conf.SEVERAL_ACTIVE
        return manifest.version, manifest.family if is_alone else ""

    def get_adapter(self, client: Client | None = None, *, attempts: int | None = None) -> BaseConnector:
        """Return the connector bound to these settings, for a call that somebody waits for.

        Raises:
            IntegrationNotConfigured: something is missing or unreadable.
        """
        return bind(self, client, attempts=attempts or conf.HTTP_MAX_ATTEMPTS)

    def test_connection(self, client: Client | None = None) -> TestResult:
        """Have the connector prove the stored credentials; sets `is_connected` (S0-23). Never raises."""
        return health.check_connection(self, client)

    def mark_connected(self) -> None:
        """Write down that a test passed (S0-25)."""
        health.mark_connected(self)

    def record_auth_failure(self) -> None:
        """Count refused credentials; three times in a row disable the integration (S0-24)."""
        health.record_auth_failure(self)

    @property
    def event_type(self) -> str:
        """The first subscribed event type, "" if there is none.

        The original guide knows one event type per integration: ``TenantIntegration(event_type=…)`` subscribes to
        it when saved, and ``filter(event_type=…)`` finds it. See `subscribe` for several.
        """
        first = self.subscriptions.order_by("id").values_list("event_type", flat=True).first() if self.pk else None
        return first or ""

    @event_type.setter
    def event_type(self, value: str) -> None:
        self._wanted_event_type = value

    @property
    def is_operational(self) -> bool:
        """True when something could be sent: both switches on and the last test passed (S0-20)."""
        return self.is_enabled and self.is_connected

    def encryption_context(self) -> str:
        """What the ciphertexts of this row are bound to: moved to another row or tenant, they do not open."""
        return row_context(self.tenant_id, self.public_id)

    def subscribe(self, *types: str) -> None:
        """Make these the subscribed event types, keeping the conditions of those that stay."""
        self.subscriptions.exclude(event_type__in=types).delete()
        have = set(self.subscriptions.values_list("event_type", flat=True))
        for event_type in dict.fromkeys(types):
            if event_type not in have:
                self.subscriptions.create(event_type=event_type)


class EventSubscription(models.Model):
    """One event type that an integration wants, perhaps only under a condition."""

    integration = models.ForeignKey(TenantIntegration, on_delete=models.CASCADE, related_name="subscriptions")
    event_type = models.CharField(max_length=100)
    condition = models.CharField(
        max_length=500,
        blank=True,
        validators=[validate_condition],
        help_text="JMESPath over the payload, e.g. workitem.priority == 'Urgent'; empty: always.",
    )

    class Meta:
        unique_together = [("integration", "event_type")]
        indexes = [models.Index(fields=["event_type", "integration"], name="subscription_by_event")]

    def __str__(self) -> str:
        return self.event_type
