"""What a page says of the access that a provider granted."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from integrations.connections.abstract import AbstractConnection
from integrations.connections.authorization import grant_of, missing_scopes, wants_authorization
from integrations.connections.grants import AbstractGrant
from integrations.database import clock
from integrations.pages.display import when


class GrantState:
    """What a page says of a connection's grant; never a token."""

    def __init__(self, integration: AbstractConnection) -> None:
        self.wanted = wants_authorization(integration)
        self.grant = grant_of(integration)
        self.missing = missing_scopes(integration) if self.grant else ()

    @property
    def is_connected(self) -> bool:
        return self.grant is not None and self.grant.is_connected

    @property
    def summary(self) -> SafeString | str:
        """Who agreed, when, to what, and whether it still holds."""
        grant = self.grant
        if grant is None or not (grant.tokens_encrypted or grant.invalid_since):
            return _("not connected yet")
        if grant.invalid_since:
            return format_html(_("refused {}: {}"), when(grant.invalid_since), grant.invalid_reason)
        return format_html("{}; {}", self._consent(grant), self._life(grant))

    @property
    def scope(self) -> str:
        """What was granted, and what of that which was asked for was not."""
        granted = self.grant.scope if self.grant else ""
        return (
            _("{granted}; not granted: {missing}").format(granted=granted, missing=", ".join(self.missing))
            if self.missing
            else granted
        )

    def _consent(self, grant: AbstractGrant) -> Any:
        if not grant.granted_at:
            return _("connected")
        return format_html(_("by {} {}"), grant.granted_by or _("somebody"), when(grant.granted_at))

    def _life(self, grant: AbstractGrant) -> Any:
        if grant.expires_at is None:
            return _("the access token has no known end")
        is_over = grant.expires_at <= clock.now()
        words = _("the access token expired {}") if is_over else _("the access token ends {}")
        return format_html(words, when(grant.expires_at))
