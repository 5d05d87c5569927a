"""Calling back: what to paste at the provider, whether it can prove itself, and what came last.

On the page of an integration whose kind sends webhooks, below the boxes for what it may do. Nothing of the secret is
shown, only whether there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.template.loader import render_to_string

from integrations.admin.pages.links import page_url
from integrations.connections.models import TenantIntegration
from integrations.connections.registered import connection_model
from integrations.connectors.manifest import Inbound
from integrations.display import Badge, inbound_badge, inbound_story, short, when
from integrations.errors import IntegrationError
from integrations.forms.choice import calls_back, connector_of
from integrations.inbound.actions import action_named
from integrations.inbound.address import EVENTS, GUESSED, callback_address, is_guessed
from integrations.inbound.models import WebhookEvent
from integrations.label import permission
from integrations.tenancy.harmless_text import harmless

SHOWN = 10
SCHEMES = {
    "standard-webhooks": "Standard Webhooks (webhook-signature)",
    "stripe": "Stripe (Stripe-Signature)",
    "github": "GitHub (X-Hub-Signature-256)",
    "shopify": "Shopify (X-Shopify-Hmac-Sha256)",
    "woocommerce": "WooCommerce (X-WC-Webhook-Signature)",
    "slack": "Slack (X-Slack-Signature)",
    "hmac-sha256-hex": "HMAC-SHA256 in hex",
    "hmac-sha256-base64": "HMAC-SHA256 in base64",
    "hmac-sha256-prefixed": "HMAC-SHA256 in hex behind sha256=",
}


class Address(NamedTuple):
    """One URL to paste."""

    label: str
    url: str
    id: str


@dataclass
class CallsBack:
    """What the panel tells of one integration; two short queries."""

    request: HttpRequest
    integration: TenantIntegration

    def __post_init__(self) -> None:
        self.problem = ""
        self.inbound: Inbound | None = None
        self.has_secret = self.takes_only_actions = False
        try:
            adapter = self.integration.get_adapter()
            self.inbound = adapter.inbound
            self.has_secret = bool(adapter.inbound_secrets())
            self.takes_only_actions = adapter.takes_only_actions
        except IntegrationError as error:
            self.problem = error.message
        self.may_see_events = self.request.user.has_perm(permission("view", "webhookevent"))
        self.rows = list(self._rows()) if self.may_see_events else []

    @property
    def addresses(self) -> list[Address]:
        """What the other side may call: a URL for each action that is allowed, and one for its own news."""
        found = [(_label(name), name) for name in self.integration.inbound_actions]
        if not self.takes_only_actions:
            found.append(("Any event, for the application's own receivers", EVENTS))
        return [
            Address(label, callback_address(self.request, self.integration, name), f"callback-{number}")
            for number, (label, name) in enumerate(found)
        ]

    @property
    def hint(self) -> str:
        """A doubt about the host in the addresses, "" for none."""
        return GUESSED if self.addresses and is_guessed(self.integration) else ""

    @property
    def scheme(self) -> str:
        if self.inbound is None:
            return "not chosen yet"
        words = SCHEMES.get(self.inbound.scheme, self.inbound.scheme)
        return f"{words}, header {self.inbound.signature_header}" if self.inbound.signature_header else words

    @property
    def secret(self) -> Badge:
        if self.has_secret:
            return Badge("ok", "✓ Set", "The stored secret is never shown.")
        return Badge("bad", "✗ Not set", "Whatever comes is refused (401).")

    @property
    def secret_title(self) -> str:
        """The words beside the box for the secret in the form above."""
        connector = connector_of(self.integration.integration_type)
        field = connector.manifest.field(self.inbound.secret_field) if connector and self.inbound else None
        return field.title if field else "the secret"

    def explanations(self) -> Iterator[tuple[str, str]]:
        """Yield (kind, sentence) for whatever stops the other side from calling us."""
        if self.problem:
            yield "bad", f"Nothing is accepted: {self.problem}"
        elif self.inbound is None:
            yield "info", "Nothing is accepted: choose in the form above how the other side signs."
        elif not self.has_secret:
            yield (
                "warn",
                f"Nothing is accepted yet (401): enter “{self.secret_title}” in the form above, the same as there.",
            )
        elif not self.addresses:
            yield "info", "Nothing is accepted (403): tick above what it may do when it calls back."
        if connection_model() is not TenantIntegration:
            yield "warn", "CONNECTION_MODEL names another model: to the other side this one does not exist (404)."
        if not self.integration.is_active:
            yield "warn", "The integration is not active: to the other side it does not exist (404)."
        elif not self.integration.is_enabled:
            yield "warn", "The integration is disabled: what comes is kept, and processed when it is re-enabled."

    def _rows(self) -> Iterator[dict[str, Any]]:
        events = WebhookEvent.objects.filter(connection=self.integration.pk).order_by("-id")
        for event in events.defer("body", "payload", "headers")[:SHOWN]:
            event.connection = self.integration
            yield {
                "url": page_url("webhookevent", "change", event.pk),
                "badge": inbound_badge(event),
                "story": inbound_story(event),
                "what": harmless(event.event_type) or harmless(event.action),
                "action": harmless(event.action) if event.event_type else "",
                "received": when(event.received_at),
                "error": short(harmless(event.error), 80),
            }


def _label(name: str) -> str:
    action = action_named(name)
    return action.label if action else f"{name} (no longer offered)"


def calling_back_field(request: HttpRequest, obj: TenantIntegration | None) -> Callable[[Any], str] | None:
    """Return the read-only field for `obj`, the same one all through a request; None if its kind never calls."""
    connector = connector_of(obj.integration_type) if obj is not None else None
    if connector is None or not calls_back(connector):
        return None
    if not hasattr(request, "_calling_back"):

        def calling_back(shown: TenantIntegration) -> str:
            panel = CallsBack(request, shown)
            return render_to_string("admin/integrations/calls_back.html", {"panel": panel, "integration": shown})

        calling_back.short_description = "Addresses"  # type: ignore[attr-defined]
        request._calling_back = calling_back  # type: ignore[attr-defined]
    return request._calling_back  # type: ignore[attr-defined]
