"""`AbstractConnection`: one configured provider, of a tenant or of a host's own model.

A host subclasses it and adds its own tenant key (docs/your-own-models.md); `TenantIntegration` is such a subclass.
What is secret is in `credentials`, encrypted at rest and bound to the row; what is not is in `config`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Self

from django.contrib.auth import get_permission_codename
from django.core.exceptions import ValidationError

from integrations import conf
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.port import Client, TestResult
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.transport.port import Gate

from . import health, status_changes
from .binding import bind, request_seconds
from .grants import AbstractGrant, ConnectionGrant
from .remembered import Remembered, still_known
from .row import ConnectionRow
from .token_store import GrantTokens

PATIENCE_SECONDS = 10.0  # for one request of a call without another timeout (DEFAULT_TIMEOUT)
_PROVIDER = frozenset({"provider_family", "provider_name"})

# Deliveries, pulls and calls share one destination, and so what is known of it: this returns the gate with the lane's
# circuit breaker and pace (delivery/call_gate.py) for a connection and the longest request, in seconds.
GateOf = Callable[[ConnectionRow, Manifest, float], Gate | None]
_gate_of: GateOf = lambda connection, manifest, longest: None  # noqa: E731 - set when Django starts


def share_gates(gate_of: GateOf) -> None:
    """Let the requests of adapters pass what `gate_of` returns for their connection."""
    global _gate_of
    _gate_of = gate_of


class AbstractConnection(ConnectionRow):
    """A provider that somebody is connected to: which, with what credentials, and whether it works.

    Run-time columns (`is_connected`, the count of refusals, …) are written by the methods below with updates of
    their own; saving the instance announces what changed (lifecycle.py).
    """

    class Meta:
        abstract = True

    # -- what everybody calls ---------------------------------------------------------------------------

    def get_adapter(self, client: Client | None = None, *, attempts: int | None = None) -> BaseConnector:
        """Return the connector bound to these settings, for a call that somebody waits for.

        Refused credentials count (`record_auth_failure`), a success ends the count. The timeout is the connection's
        own, else the settings', else the kind's, else ten seconds.

        Raises:
            IntegrationNotConfigured: something is missing or unreadable.
        """
        manifest = ConnectorRegistry.type_of(self.connector_key).manifest
        timeout = self.request_timeout or conf.ADAPTER_TIMEOUT_SECONDS or request_seconds(self, manifest)
        timeout = timeout or PATIENCE_SECONDS
        adapter = bind(self, client, attempts=attempts or conf.HTTP_MAX_ATTEMPTS, timeout=timeout)
        if self.pk is not None:
            adapter.gate = _gate_of(self, manifest, timeout)
            if adapter.base_url:
                adapter.http.middleware.add_on_outcome(partial(health.count_call, self))
        return adapter

    def get_receiver(self) -> BaseConnector:
        """Return the connector for what the provider sends us: settings that only calls to it need may be missing.

        Raises:
            IntegrationNotConfigured: its kind is unknown, or its secrets are unreadable.
        """
        return bind(self, may_be_incomplete=True)

    def test_connection(self, client: Client | None = None) -> TestResult:
        """Have the connector prove the stored credentials; sets `is_connected`. Never raises."""
        return health.check_connection(self, client)

    def mark_connected(self) -> None:
        """Write down that a test passed."""
        health.mark_connected(self)

    def record_auth_failure(self) -> None:
        """Count refused credentials; three times in a row disable the connection."""
        health.record_auth_failure(self)

    def re_enable(self) -> None:
        """Switch on again, after a person has mended the credentials; the next test says whether it works."""
        health.re_enable(self)

    @classmethod
    def oauth_grant_model(cls) -> type[AbstractGrant]:
        return ConnectionGrant

    def token_store(self) -> GrantTokens | None:
        """Return the store of this connection's own grant; None (in memory) as long as it is not saved."""
        return None if self._state.adding else GrantTokens(self)

    def may_be_connected_by(self, user: Any) -> bool:
        """Tell whether `user` may let a provider give access to this connection: who has the change permission.

        Asked when they leave and when they come back. The admin asks its ModelAdmin instead; a host whose own views
        connect says here who may, its members for example.
        """
        permission = f"{self._meta.app_label}.{get_permission_codename('change', self._meta)}"
        return bool(user.has_perm(permission) or user.has_perm(permission, self))

    def webhook_url_for(self, action: str) -> str:
        """Return where the provider calls us back: WEBHOOK_BASE_URL and ``<id>/<action>/``.

        The host part is missing where neither WEBHOOK_BASE_URL nor PUBLIC_URL is set.
        """
        base = conf.WEBHOOK_BASE_URL or f"{conf.PUBLIC_URL.rstrip('/')}/webhooks/"
        return f"{base.rstrip('/')}/{self.public_id}/{action}/"

    # -- saving -----------------------------------------------------------------------------------------

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Also refuse an unknown provider, and a family that is not the provider's."""
        super().clean_fields(exclude=exclude)
        asked = {field.name for field in self._meta.concrete_fields} - set(exclude or ())
        if "provider_name" in asked and self._state.adding:
            try:
                ConnectorRegistry.type_of(self.connector_key)
            except (UnknownConnector, IncompatibleConnector) as error:
                raise ValidationError({"provider_name": error.message}) from None
        if "provider_family" in asked:
            self._check_family()

    def _check_family(self) -> None:
        """Fill in the connector's family, by which pulls find their handler; refuse another one.

        A row that was stored with another family may be saved as long as that does not change.
        """
        given = self.__dict__.get("provider_family")
        try:
            family = ConnectorRegistry.type_of(self.connector_key).manifest.family
        except (UnknownConnector, IncompatibleConnector):
            return
        if given == "":
            self.provider_family = family
        elif given not in (None, family) and self.__dict__.get("_family_read") != (given, self.connector_key):
            problem = f"{self.connector_key} is of the family {family}, not {given[:50]!r}"
            raise ValidationError({"provider_family": problem})

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a changed `is_connected` or `is_enabled` is announced after the commit.

        A run-time column that was not changed here is left as it is in the row, where others may have written it.
        """
        if len(reason := self.__dict__.get("disabled_reason") or "") > health.MAX_REASON:
            self.disabled_reason = reason[: health.MAX_REASON]  # a long text is no reason to fail
        columns = kwargs.get("update_fields")
        if columns is None or not _PROVIDER.isdisjoint(columns):
            self._check_family()
        is_copy = kwargs.get("force_insert") or kwargs.get("using") not in (None, self._state.db)
        known = None if self._state.adding or self.pk is None or is_copy else still_known(self.__dict__.get("_stored"))
        if known is not None and columns is None and not args:
            columns = kwargs["update_fields"] = status_changes.columns_to_save(self, known.values)
        super().save(*args, **kwargs)
        now = status_changes.loaded(self)
        if known is None:
            self._stored = Remembered.read(now, self._state.db)
            return
        saved = {name: value for name, value in now.items() if columns is None or name in columns}
        self._stored = known.then(saved, self._state.db)
        status_changes.announce_saved(self, known.values, self._stored.values)

    @classmethod
    def from_db(cls, db: str | None, field_names: Any, values: Any, **options: Any) -> Self:
        instance = super().from_db(db, field_names, values, **options)
        instance._stored = Remembered.read(status_changes.loaded(instance), db)
        if len(values) == len(cls._meta.concrete_fields):  # nothing is deferred, so that asking costs nothing
            instance._family_read = (instance.provider_family, instance.connector_key)
        return instance

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        fields = kwargs.get("fields") or (args[1] if len(args) > 1 else None)
        now = status_changes.loaded(self)
        known = still_known(self.__dict__.get("_stored")) or Remembered({})
        read = {name: value for name, value in now.items() if fields is None or name in fields}
        self._stored = known.then(read, self._state.db)
