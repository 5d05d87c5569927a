"""`TenantIntegration` and its `EventSubscription`s: where a tenant's events go, and which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils.translation import gettext_lazy, ngettext

from integrations import conf
from integrations.compat.integration import IntegrationNames, RenamedIntegrationColumns
from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry, connector_choices
from integrations.credentials.fields import EncryptedJSON, EncryptedText, read_together, row_context
from integrations.database import clock
from integrations.database.columns import PlainCharField
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.tenancy.capabilities import Capability, may
from integrations.tenancy.deletion import BatchedDeletion, delete_batched
from integrations.tenancy.key import TenantKey
from integrations.tenancy.owned import OwnedQuerySet, TenantOwned
from integrations.transport import signing

from . import event_types
from .abstract import AbstractConnection
from .binding import signing_secrets
from .conditions import validate_condition
from .grants import OAuthGrant
from .payloads import MAX_LENGTH, validate_payload
from .remembered import Remembered, still_known
from .row import SIGNING_KEYS
from .token_store import GrantTokens

# What a person sets on an integration beside its connector's settings, in the order of forms and pages. A column's own
# declaration says what it is called, may be and means; this says what applies where a limit is empty.
SIGNING = ("is_signed", "renew_secret_days")
LIMITS = {
    "ordering": "",
    "max_in_flight": gettext_lazy("8 (default)"),
    "rate_limit_per_minute": gettext_lazy("no limit of its own"),
    "timeout_seconds": gettext_lazy("30 (default)"),
    "max_attempts": gettext_lazy("about three days of them (default)"),
}

# Writing one of these means that the settings are those of the present connector.
_SETTINGS = frozenset({"integration_type", "webhook_url_encrypted", "credentials_encrypted", "config"})


class TenantIntegrationQuerySet(RenamedIntegrationColumns, BatchedDeletion, OwnedQuerySet):
    """Finds integrations; their columns have other names, too (compat/integration.py)."""

    def operational(self) -> TenantIntegrationQuerySet:
        """Keep those that are on by the tenant's switch and by ours."""
        return self.filter(is_active=True, is_enabled=True)

    def overdue(self, answer: bool = True) -> TenantIntegrationQuerySet:
        """Keep those whose credentials are due to be changed (`overdue_days`); False: the others."""
        nothing = models.Q(credentials_encrypted="", headers_encrypted="", webhook_url_encrypted="")
        limit = clock.now() - timedelta(days=conf.ROTATE_EVERY_DAYS + 1)
        is_overdue = models.Q(credentials_rotated_at__lte=limit) & ~nothing
        return self.filter(is_overdue) if answer else self.exclude(is_overdue)

    def present(self) -> TenantIntegrationQuerySet:
        """Leave out those that are being deleted."""
        return self.filter(lane__deleting_since=None)


class _EventTypes:
    """``TenantIntegration.EVENT_TYPES``: a class attribute that reads the catalogue when asked."""

    def __get__(self, instance: object, owner: type) -> list[tuple[str, str]]:
        return event_types.choices()


class TenantIntegration(IntegrationNames, TenantOwned, AbstractConnection):
    """One tenant's configured destination: connector, address, credentials, limits, health.

    Address, headers and credentials are encrypted at rest, bound to this row and its tenant. Run-time state
    (lease, breaker, pace) is in the `Lane`, so that saving a form never overwrites it.
    """

    class Ordering(models.TextChoices):
        OBJECT = "object", gettext_lazy("In order per object")
        NONE = "none", gettext_lazy("Any order (fastest)")

    EVENT_TYPES = _EventTypes()
    _event_type_when_saved = ""
    _subscribed: Remembered | None = None  # that it was, to that type

    has_lane = True

    name = models.CharField(gettext_lazy("name"), max_length=200)
    integration_type = PlainCharField(max_length=50, choices=connector_choices)
    provider_family = models.CharField(max_length=50, blank=True, editable=False)  # the connector's, for filters
    exclusive_group = models.CharField(max_length=50, blank=True, editable=False)  # "": a tenant may have several
    webhook_url_encrypted = models.TextField(blank=True, default="", editable=False)
    headers_encrypted = models.TextField(blank=True, default="", editable=False)

    is_active = models.BooleanField(
        gettext_lazy("active"), default=True, help_text=gettext_lazy("The tenant's switch.")
    )
    is_signed = models.BooleanField(
        gettext_lazy("signed"), default=True, help_text=gettext_lazy("Sign every request (Standard Webhooks).")
    )
    renew_secret_days = models.PositiveSmallIntegerField(
        gettext_lazy("renew the signing secret every … days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text=gettext_lazy(
            "A new secret is then made by itself and waits on this page; the old one signs beside it "
            "until a day after somebody has seen the new one. Empty: only by hand."
        ),
    )
    secret_renewed_at = models.DateTimeField(null=True, blank=True, editable=False)  # the signing secret
    credentials_rotated_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Of `auth_failure_count`, what calls, pulls and tests have counted: their success ends it, and no more.
    refused_calls = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    ordering = models.CharField(gettext_lazy("order"), max_length=10, choices=Ordering.choices, default=Ordering.OBJECT)
    max_in_flight = models.PositiveSmallIntegerField(
        gettext_lazy("requests at once"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text=gettext_lazy("How many requests this destination gets in parallel; empty: 8."),
    )
    rate_limit_per_minute = models.PositiveIntegerField(
        gettext_lazy("requests a minute"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=gettext_lazy("At most so many requests a minute, evenly spaced; empty: no limit."),
    )
    timeout_seconds = models.FloatField(
        gettext_lazy("seconds for a request"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(60)],
        help_text=gettext_lazy("Total time for one request, 1 to 60; empty: 30."),
    )
    max_attempts = models.PositiveSmallIntegerField(
        gettext_lazy("attempts at most"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=gettext_lazy("Give up after so many attempts; empty: about three days of them."),
    )
    inbound_actions = models.JSONField(
        gettext_lazy("may do"),
        default=list,
        blank=True,
        help_text=gettext_lazy("What it may do here when it calls back (docs/inbound.md)."),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    tenant = TenantKey()

    webhook_url = EncryptedText("webhook_url_encrypted")
    headers = EncryptedJSON("headers_encrypted")

    objects = TenantIntegrationQuerySet.as_manager()  # type: ignore[misc]

    class Meta(TenantOwned.Meta):
        ordering = ["name", "id"]
        verbose_name = gettext_lazy("tenant integration")
        constraints = [
            # A connector says whether a tenant may have several at once; only the active ones count.
            models.UniqueConstraint(
                fields=["tenant", "exclusive_group"],
                condition=models.Q(is_active=True) & ~models.Q(exclusive_group=""),
                name="one_active_of_group",
                violation_error_message=gettext_lazy(
                    "The tenant has an active integration of this kind; switch that one off first."
                ),
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
            self.connector_version = before  # no settings are written, so their version stays
        if columns is not None and not (_SETTINGS | {"is_active"}).isdisjoint(columns):
            kwargs["update_fields"] = {*columns, "connector_version", "exclusive_group", "provider_family"}
        if self._state.adding and self.is_signed and not self.credentials.get("signing_keys"):
            key = {"secret": signing.generate_secret(), "until": None}
            self.credentials = {**self.credentials, "signing_keys": [key]}
        if self._state.adding and self.credentials_rotated_at is None:
            self.credentials_rotated_at = clock.now()
        with transaction.atomic():
            super().save(*args, **kwargs)
            if self._event_type_when_saved and still_known(self._subscribed) is None:
                self.subscriptions.get_or_create(event_type=self._event_type_when_saved)
                self._subscribed = Remembered.read({}, self._state.db)

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Delete the integration with its history, in batches (tenancy/deletion.py); return when it is gone."""
        return delete_batched(self, using=using)

    def clean(self) -> None:
        """Set what the connector decides, so that the constraint above is checked by forms too."""
        try:
            manifest = ConnectorRegistry.type_of(self.integration_type).manifest
        except (UnknownConnector, IncompatibleConnector):
            return  # its connector type is not installed
        is_alone = not manifest.allow_multiple and manifest.family not in conf.SEVERAL_ACTIVE
        self.connector_version, self.provider_family = manifest.version, manifest.family
        self.exclusive_group = manifest.family if is_alone else ""

    @property
    def connector_key(self) -> str:
        return self.integration_type

    @property
    def refused_deliveries(self) -> int:
        """How many deliveries in a row were refused."""
        return max(0, self.auth_failure_count - self.refused_calls)

    @property
    def credentials_age(self) -> int | None:
        """The days since the credentials were last changed; None if unknown."""
        changed = self.credentials_rotated_at
        return (clock.now() - changed).days if changed else None

    @property
    def overdue_days(self) -> int | None:
        """The credentials' age in days if they are due to be changed (ROTATE_EVERY_DAYS), else None."""
        age = self.credentials_age
        has_any = self.credentials_encrypted or self.headers_encrypted or self.webhook_url_encrypted
        return age if has_any and age is not None and age > conf.ROTATE_EVERY_DAYS else None

    @property
    def accepts_webhooks(self) -> bool:
        return self.is_active

    @property
    def request_timeout(self) -> float | None:
        return self.timeout_seconds

    def stored_binding(self) -> Binding:
        url, headers, credentials = read_together(self, *_SEALED)
        keys = credentials.pop(SIGNING_KEYS, None) or ()
        return Binding(url, headers, credentials, self.stored_config(), signing_keys=keys)

    def log_ids(self) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id, "integration_id": self.pk, "connector": self.integration_type}

    @classmethod
    def oauth_grant_model(cls) -> type[OAuthGrant]:
        return OAuthGrant

    def token_store(self) -> GrantTokens:
        """Return the store of this integration's own grant."""
        return GrantTokens(self)

    def may_be_connected_by(self, user: Any) -> bool:
        """Tell whether `user` may change its settings, as role or permissions say."""
        return may(user, Capability.SETTINGS, self.tenant_id)

    def signing_secrets(self) -> tuple[str, ...]:
        """Return the secrets that sign our requests now, newest first."""
        return signing_secrets(self.stored_binding().signing_keys) if self.is_signed else ()

    def encryption_context(self) -> str:
        """Return what the ciphertexts are bound to; in another row, or for another tenant, they do not open."""
        return row_context(self.tenant_id, self.public_id)

    def subscribe_when_saved(self, event_type: str) -> None:
        """Add a subscription to `event_type` with the next `save`; for a row that has no id yet."""
        self._event_type_when_saved, self._subscribed = event_type, None

    def subscribe(
        self,
        *types: str,
        conditions: Mapping[str, str] | None = None,
        payloads: Mapping[str, str] | None = None,
        versions: Mapping[str, int] | None = None,
    ) -> None:
        """Make these the subscribed event types; those that stay keep what is not given, and their payload's version.

        Args:
            conditions: event type → condition; a type that is not named has none.
            payloads: event type → payload; a type that is not named has none.
            versions: event type → version of the payload; a new type that is not named has the newest.
        """
        self.subscriptions.exclude(event_type__in=types).delete()
        have = {subscription.event_type: subscription for subscription in self.subscriptions.all()}
        for event_type in dict.fromkeys(types):
            subscription = have.get(event_type) or EventSubscription(integration=self, event_type=event_type)
            before = subscription.condition, subscription.payload, subscription.payload_version
            if conditions is not None:
                subscription.condition = conditions.get(event_type, "")
            if payloads is not None:
                subscription.payload = payloads.get(event_type, "")
            if event_type in (versions or {}):
                subscription.payload_version = versions[event_type]  # type: ignore[index]
            after = subscription.condition, subscription.payload, subscription.payload_version
            if subscription.pk is None or before != after:
                subscription.save()


_SEALED = (TenantIntegration.webhook_url, TenantIntegration.headers, TenantIntegration.credentials)


class _PayloadVersion(models.PositiveSmallIntegerField):
    """The version of a payload: of a new row that says nothing, the newest there is. Migrations know the column."""

    _pyi_private_set_type: Any  # for type checkers: None may be given

    def pre_save(self, instance: Any, add: bool) -> Any:
        value = super().pre_save(instance, add)
        if value is None:
            value = event_types.newest_version(instance.event_type)
            setattr(instance, self.attname, value)
        return value

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        kwargs.pop("default", None)
        return name, "django.db.models.PositiveSmallIntegerField", args, kwargs


class EventSubscription(models.Model):
    """One event type that an integration wants, perhaps only under a condition, perhaps with a payload of its own."""

    integration = models.ForeignKey(TenantIntegration, on_delete=models.CASCADE, related_name="subscriptions")
    event_type = models.CharField(max_length=100)
    condition = PlainCharField(
        max_length=500,
        blank=True,
        validators=[validate_condition],
        help_text=gettext_lazy("JMESPath over the payload, e.g. workitem.priority == 'Urgent'; empty: always."),
    )
    payload = models.TextField(
        max_length=MAX_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text=gettext_lazy(
            "JMESPath that makes what is sent, e.g. {text: workitem.title}; empty: the event's body as it is."
        ),
    )
    # Stays until a person moves it (connections/payload_versions.py).
    payload_version = _PayloadVersion(blank=True, default=None, db_default=1)

    class Meta:
        unique_together = [("integration", "event_type")]
        indexes = [models.Index(fields=["event_type", "integration"], name="subscription_by_event")]

    def __str__(self) -> str:
        return self.event_type

    def problems(self) -> dict[str, list[str]]:
        """Return {field: what is wrong}; {}: it may be saved. The one check of forms and of the API."""
        try:
            self.full_clean(exclude=["integration"], validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            return {name: list(dict.fromkeys(messages)) for name, messages in error.message_dict.items()}
        return {}

    def clean(self) -> None:
        """Refuse a condition that events of this type can never meet, a payload that cannot be made of them, and a
        version that is not made."""
        problems = {}
        if problem := self._version_problem():
            problems["payload_version"] = [problem]
        for name, check in (("condition", validate_condition), ("payload", validate_payload)):
            try:
                check(getattr(self, name), self.event_type, self.payload_version)
            except ValidationError as error:
                problems[name] = error.messages
        if problems:
            raise ValidationError(problems)

    def _version_problem(self) -> str:
        known = event_types.versions(self.event_type)
        if self.payload_version is None or self.payload_version in known:
            return ""
        words = ngettext(
            "There is no version {version} of the payload of {event_type}; there is {known}.",
            "There is no version {version} of the payload of {event_type}; there are {known}.",
            len(known),
        )
        there = ", ".join(map(str, known))
        return words.format(version=self.payload_version, event_type=self.event_type, known=there)


def versions_that_are_not_made() -> Iterator[tuple[str, int, int, list[int]]]:
    """Yield (event type, version, how many subscriptions have it, the versions there are) whose version is not made."""
    rows = EventSubscription.objects.values_list("event_type", "payload_version").annotate(count=models.Count("pk"))
    emitted = dict(event_types.choices())
    for event_type, version, count in rows.order_by("event_type", "payload_version"):
        known = event_types.versions(event_type)
        if event_type in emitted and version not in known:
            yield event_type, version, count, known
