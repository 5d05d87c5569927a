"""API keys, without the keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.database import clock
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.key import TenantKey
from integrations.tenancy.owned import TenantOwned

from .scopes import capabilities_of


class APIKey(TenantOwned):
    """What one program may do for one tenant; its text was shown once, and only its hash is here.

    It belongs to the tenant: it goes on working when the person who made it leaves (docs/adr/0041).

    Attributes:
        prefix: the part of the key that is shown and that finds this row.
        digest: SHA-256 of the whole key, in hex.
        made_by: the name of the person at that time; `made_by_key` is the person's primary key as text.
        last_used_from: the address from which it was used last, written at most once a minute.
    """

    name = models.CharField(max_length=100, help_text=gettext_lazy("What it is for, such as: nightly report."))
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    made_by = models.CharField(max_length=150, editable=False)
    made_by_key = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_by = models.CharField(max_length=150, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_from = models.CharField(max_length=45, blank=True, editable=False)

    tenant = TenantKey()

    class Meta(TenantOwned.Meta):
        ordering = ["-id"]
        verbose_name = gettext_lazy("API key")

    def __str__(self) -> str:
        return self.name

    @property
    def shown(self) -> str:
        """The part of the key that may be shown, to tell one from another."""
        return f"iok_{self.prefix}_…"

    @property
    def actor(self) -> str:
        """How logs name what was done with it."""
        return f"API key {self.name}"

    def why_not(self, now: datetime | None = None) -> str:
        """Say why it is not taken any more, "" if it is."""
        if self.revoked_at is not None:
            return _("revoked on {revoked_at:%Y-%m-%d}").format(revoked_at=self.revoked_at)
        if self.expires_at is not None and self.expires_at <= (now or clock.now()):
            return _("expired on {expires_at:%Y-%m-%d}").format(expires_at=self.expires_at)
        return ""

    def has(self, scope: str) -> bool:
        """Tell whether `scope` is among its scopes."""
        return scope in self.scopes

    def may(self, capability: Capability) -> bool:
        """Tell whether one of its scopes allows it, for its own tenant."""
        return capability in capabilities_of(self.scopes)

    def __repr__(self) -> str:
        return f"<APIKey {self.pk} {self.shown}>"

    def log_ids(self) -> dict[str, Any]:
        """Return what a line of the log says beside its words."""
        return {"tenant_id": self.tenant_id, "api_key": self.prefix}


class IdempotentRequest(models.Model):
    """A write through the API that named itself (``Idempotency-Key``), and what it was answered.

    Attributes:
        caller: whose it is: a person's or a key's; another one's may have the same name.
        digest: of the request, so that a name that is used again for another one is noticed.
        status: of the answer; None: it is under way.
    """

    caller = models.CharField(max_length=300)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    made_at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    content_type = models.CharField(max_length=100, blank=True, default="")
    answer = models.TextField(blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="one_request_of_a_name")]

    def __str__(self) -> str:
        return f"{self.key} of {self.caller}"
