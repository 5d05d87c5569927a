"""What a provider allows an integration to do: its OAuth tokens, and who agreed to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import models

from integrations import clock
from integrations.auth.token import Token
from integrations.credentials.fields import EncryptedJSON, EncryptedText


class OAuthGrant(models.Model):
    """The tokens of one integration.

    Apart from `TenantIntegration`, as the lane is: people save that one from a form, and a form that was opened
    before a refresh must not bring back a refresh token that the provider has replaced. The tokens are encrypted,
    bound to the integration's row and tenant. Who may change them, token_store.py says.
    """

    integration = models.OneToOneField(
        "integrations.TenantIntegration", on_delete=models.CASCADE, primary_key=True, related_name="oauth_grant"
    )
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
        verbose_name = "OAuth grant"

    def __str__(self) -> str:
        return f"grant of integration {self.pk}"

    def encryption_context(self) -> str:
        """The integration's: moved to another integration or tenant, the tokens do not open."""
        return self.integration.encryption_context()

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


class OAuthRequest(models.Model):
    """A person was sent to the provider and has not come back yet: what must be true when they do.

    Of the state only a hash is kept: who reads this table cannot finish anybody's request. The row is deleted by the
    first who comes back with it, and ten minutes after it was made it is worth nothing (authorization.py).
    """

    state_hash = models.CharField(max_length=64, primary_key=True, editable=False)
    integration = models.ForeignKey("integrations.TenantIntegration", on_delete=models.CASCADE, related_name="+")
    tenant_id = models.BigIntegerField(editable=False)
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
        return f"request for integration {self.integration_id}"

    def encryption_context(self) -> str:
        return self.integration.encryption_context()
