"""What a provider allows a connection to do: its OAuth tokens, and who agreed to it.

`OAuthGrant` is a `TenantIntegration`'s, `ConnectionGrant` that of any other model derived from `AbstractConnection`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db import models, router
from django.db.models.signals import class_prepared, post_delete

from integrations import conf
from integrations.auth.token import Token
from integrations.credentials.fields import EncryptedJSON, EncryptedText, row_context
from integrations.database import clock
from integrations.errors import IntegrationNotConfigured

from .row import ConnectionRow


class AbstractGrant(models.Model):
    """The tokens of one connection.

    Apart from the connection, as the lane is: people save that one from a form, and a form that was opened
    before a refresh must not bring back a refresh token that the provider has replaced. The tokens are encrypted,
    bound to the connection's row (and tenant). Who may change them, token_store.py says.
    """

    tokens_encrypted = models.TextField(blank=True, default="", editable=False)
    scope = models.TextField(blank=True, default="", editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    granted_by = models.CharField(max_length=150, blank=True, editable=False)
    granted_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_refreshed_at = models.DateTimeField(null=True, blank=True, editable=False)
    invalid_since = models.DateTimeField(null=True, blank=True, editable=False)
    invalid_reason = models.CharField(max_length=500, blank=True, editable=False)
    revision = models.PositiveBigIntegerField(default=0, editable=False)  # a write counts only if it saw the last one
    lock_token = models.CharField(max_length=32, blank=True, default="", editable=False)
    locked_until = models.DateTimeField(null=True, blank=True, editable=False)

    tokens = EncryptedJSON("tokens_encrypted")

    class Meta:
        abstract = True

    @classmethod
    def key_of(cls, connection: ConnectionRow) -> Any:
        """Return the primary key of the grant of `connection`, whether there is one or not."""
        raise NotImplementedError

    @classmethod
    def make_for(cls, connection: ConnectionRow, using: str) -> None:
        """Make sure that there is a grant of `connection`; the transaction is the caller's."""
        cls._base_manager.using(using).get_or_create(pk=cls.key_of(connection))

    def belongs_to(self, connection: Any) -> None:
        """Remember whose grant this is, so that it need not be looked up."""
        raise NotImplementedError

    def encryption_context(self) -> str:
        """Return the connection's context: for another connection or tenant the tokens do not open."""
        raise NotImplementedError

    @property
    def is_connected(self) -> bool:
        """There are tokens, and the provider did not refuse them last time."""
        return bool(self.tokens_encrypted) and self.invalid_since is None

    @property
    def token(self) -> Token | None:
        """The stored token; raises EncryptionError if no key of ours opens it."""
        values: dict[str, Any] = self.tokens
        return Token(**values) if values else None

    @token.setter
    def token(self, token: Token | None) -> None:
        names = ("access_token", "token_type", "expires_at", "refresh_token", "scope", "issued_at", "made_with")
        self.tokens = {name: getattr(token, name) for name in names} if token else {}
        self.scope = token.scope if token else ""
        at = token.expires_at if token else None
        self.expires_at = datetime.fromtimestamp(at, UTC) if at is not None else None

    def granted(self, token: Token, by: str) -> None:
        """Put what a person agreed to on the row (not saved)."""
        self.token = token
        self.granted_by, self.granted_at = by[:150], clock.now()
        self.last_refreshed_at, self.invalid_since, self.invalid_reason = None, None, ""

    def refreshed(self, token: Token) -> None:
        """Put what the provider gave us by itself on the row (not saved)."""
        self.token = token
        self.last_refreshed_at, self.invalid_since, self.invalid_reason = clock.now(), None, ""


class OAuthGrant(AbstractGrant):
    """The tokens of one `TenantIntegration`."""

    integration = models.OneToOneField(
        "TenantIntegration", on_delete=models.CASCADE, primary_key=True, related_name="oauth_grant"
    )

    class Meta:
        verbose_name = "OAuth grant"

    def __str__(self) -> str:
        return f"grant of integration {self.pk}"

    @classmethod
    def key_of(cls, connection: ConnectionRow) -> Any:
        return connection.pk

    def belongs_to(self, connection: Any) -> None:
        self.integration = connection

    def encryption_context(self) -> str:
        return self.integration.encryption_context()


class ConnectionGrant(AbstractGrant):
    """The tokens of one connection of a host's own model, whatever that model's key and tenants are.

    The connection is known by its public id, which is unique and stays when a model is renamed. The grant goes when
    the connection is deleted: `forget_grant` below, for no foreign key leads to models that we do not know.
    """

    connection_id = models.UUIDField(primary_key=True, editable=False)  # its public_id

    _connection: ConnectionRow | None = None

    class Meta:
        verbose_name = "OAuth grant of a connection"
        verbose_name_plural = "OAuth grants of connections"

    def __str__(self) -> str:
        return f"grant of connection {self.pk}"

    @classmethod
    def key_of(cls, connection: ConnectionRow) -> Any:
        return connection.public_id

    @classmethod
    def make_for(cls, connection: ConnectionRow, using: str) -> None:
        """Make the grant, with the connection locked against deletion.

        Raises:
            IntegrationNotConfigured: somebody has deleted it.
        """
        model: Any = connection._meta.get_field("public_id").model
        rows = model._base_manager.using(router.db_for_write(model, instance=connection))
        # As a deletion does: first the connection's row, then the grant's.
        rows = rows.select_for_update(no_key=True) if rows.db == using else rows
        if rows.filter(public_id=connection.public_id).values_list("pk").first() is None:
            raise IntegrationNotConfigured("the connection was deleted meanwhile")
        super().make_for(connection, using)

    def belongs_to(self, connection: Any) -> None:
        self._connection = connection

    def encryption_context(self) -> str:
        if self._connection is None:
            self._connection = self._found()
        return self._connection.encryption_context()

    def _found(self) -> ConnectionRow:
        """Return the connection, of whichever model it is; only the rotation of keys has to ask."""
        for model in apps.get_models():
            if _has_such_grants(model) and not model._meta.proxy:
                found: Any = model._base_manager.filter(public_id=self.pk).first()
                if found is not None:
                    return cast("ConnectionRow", found)
        raise ObjectDoesNotExist("its connection is gone; delete the grant")


def _has_such_grants(model: type[models.Model]) -> bool:
    """Tell whether the table of `model` holds connections whose grants are `ConnectionGrant`s."""
    concrete = model._meta.concrete_model or model
    return (
        issubclass(model, ConnectionRow)
        and model.oauth_grant_model() is ConnectionGrant
        and any(field.name == "public_id" for field in concrete._meta.local_fields)
    )


def forget_grant(instance: models.Model, **_: Any) -> None:
    """Delete the grant of a connection that was deleted."""
    # Django knows a sender by its id(). A class that is gone, as a migration's are, may leave it to any other model.
    if not isinstance(instance, ConnectionRow) or not _has_such_grants(type(instance)):
        return
    using = router.db_for_write(ConnectionGrant)
    ConnectionGrant.objects.using(using).filter(pk=ConnectionGrant.key_of(instance)).delete()


def _forget_grants_with(sender: type[models.Model], **_: Any) -> None:
    # For each model by itself: a receiver for all senders makes Django read the rows of every deletion of any model.
    if _has_such_grants(sender):
        post_delete.connect(forget_grant, sender=sender)


class_prepared.connect(_forget_grants_with)


class OAuthRequest(models.Model):
    """A person was sent to the provider and has not come back yet: what must be true when they do.

    Of the state only a hash is kept: who reads this table cannot finish anybody's request. The row is deleted by the
    first who comes back with it, and ten minutes after it was made it is worth nothing (authorization.py).

    It is about an integration of a tenant, or about a connection of a host's own model: label and public id.
    """

    state_hash = models.CharField(max_length=64, primary_key=True, editable=False)
    integration = models.ForeignKey("TenantIntegration", on_delete=models.CASCADE, null=True, related_name="+")
    tenant = models.ForeignKey(
        conf.tenant_label(),
        on_delete=models.DO_NOTHING,
        null=True,
        editable=False,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    connection_model = models.CharField(max_length=200, default="", db_default="", editable=False)  # its label
    connection_id = models.UUIDField(null=True, editable=False)  # its public_id
    admin_site = models.CharField(max_length=100, default="", db_default="", editable=False)  # "": a host's own view
    return_to = models.CharField(max_length=500, default="", db_default="", editable=False)
    user_id = models.CharField(max_length=64, editable=False)  # as text: a user model may have any key
    session_hash = models.CharField(max_length=64, editable=False)
    provider = models.CharField(max_length=50, editable=False)
    redirect_uri = models.CharField(max_length=500, editable=False)
    verifier_encrypted = models.TextField(editable=False)
    expires_at = models.DateTimeField(db_index=True, editable=False)

    verifier = EncryptedText("verifier_encrypted")

    class Meta:
        verbose_name = "OAuth request"

    def __str__(self) -> str:
        if self.integration_id is None:
            return f"request for {self.connection_model} {self.connection_id}"
        return f"request for integration {self.integration_id}"

    def encryption_context(self) -> str:
        if self.integration is None:
            return row_context(self.connection_model, self.connection_id)
        return self.integration.encryption_context()

    def connection(self) -> Any:
        """Return the integration or connection that this is about; None if it is gone."""
        if self.integration is not None:
            return self.integration
        try:
            model = apps.get_model(self.connection_model)
        except (LookupError, ValueError):
            return None
        if not issubclass(model, ConnectionRow) or self.connection_id is None:
            return None
        return model._base_manager.filter(public_id=self.connection_id).first()
