"""Describe an integration's secrets without showing any: which are stored, how old they are, what is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext

from integrations.connections.models import TenantIntegration
from integrations.connections.row import SIGNING_KEYS
from integrations.connections.signing_keys import UNSEEN, old_key_until
from integrations.connectors.inbound_secret import any_weak
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import EncryptionError, IntegrationError, IntegrationNotConfigured


@dataclass(frozen=True, slots=True)
class SecretState:
    """The secrets of one integration.

    Attributes:
        problem: why they cannot be read, "" if they can.
        signing: ``on``, ``off`` (switched off), ``no-key``, or "" for a type that signs nothing.
        signing_since: when the newest signing secret was made.
        old_until: until when the one before it signs, too.
        is_unseen: the schedule made a new one, which nobody has seen.
        renewed_every: days after which the schedule makes a new one; None: by hand.
        stored: titles of the credentials that are stored.
        changed_at: when a credential was changed last.
        overdue_days: their age in days, if they should be changed.
        inbound: ``set``, ``weak``, ``missing``, or "" if it does not call back.
    """

    problem: str = ""
    signing: str = ""
    signing_since: datetime | None = None
    old_until: datetime | None = None
    is_unseen: bool = False
    renewed_every: int | None = None
    stored: tuple[str, ...] = ()
    changed_at: datetime | None = None
    overdue_days: int | None = None
    inbound: str = ""

    @property
    def needs_somebody(self) -> bool:
        """True: a person should do something about them."""
        is_unproven = self.inbound in ("weak", "missing")
        return bool(self.problem or self.signing == "no-key" or self.is_unseen or self.overdue_days or is_unproven)


def secrets_of(integration: TenantIntegration) -> SecretState:
    """Return what may be told of the secrets of `integration`."""
    try:
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    except IntegrationNotConfigured as error:
        return SecretState(error.message)
    try:
        credentials, headers = integration.credentials, integration.headers
    except EncryptionError:
        return SecretState("The stored secrets cannot be opened: a key of ours is missing.")
    keys = credentials.get(SIGNING_KEYS) or []
    signing = "" if not manifest.signs else "off" if not integration.is_signed else "on" if keys else "no-key"
    titles = [
        gettext(field.title)
        for field in manifest.fields
        if field.name in manifest.secret_names and credentials.get(field.name)
    ]
    return SecretState(
        signing=signing,
        signing_since=integration.secret_renewed_at or integration.created_at,
        old_until=old_key_until(keys) if signing == "on" else None,
        is_unseen=bool(keys and keys[0].get(UNSEEN)) and signing == "on",
        renewed_every=integration.renew_secret_days if signing == "on" else None,
        stored=(*titles, *(gettext("Header {name}").format(name=name) for name in headers)),
        changed_at=integration.credentials_rotated_at,
        overdue_days=integration.overdue_days,
        inbound=_inbound(integration),
    )


def _inbound(integration: TenantIntegration) -> str:
    try:
        adapter = integration.get_receiver()
    except IntegrationError:
        return ""
    if adapter.inbound is None:
        return ""
    secrets = adapter.inbound_secrets()
    if not secrets:
        # Without a secret and without an allowed action, the other side does not call back.
        return "missing" if integration.inbound_actions else ""
    return "weak" if any_weak(secrets, adapter.inbound.scheme) else "set"
