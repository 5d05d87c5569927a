"""The tab "Calling back": where the other side calls us, what it may do here, and what came last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.connections.registered import connection_model
from integrations.connectors.manifest import Inbound
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.errors import IntegrationError
from integrations.forms.choice import calls_back, connector_of
from integrations.health.explanations import Explanation
from integrations.inbound.actions import action_named
from integrations.inbound.address import EVENTS, GUESSED, callback_address, is_guessed
from integrations.inbound.models import WebhookEvent
from integrations.pages.display import Badge, inbound_badge, inbound_story
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.harmless_text import harmless
from integrations.tenancy.roles import Role

from .bench import open_bench

SHOWN = 10
SCHEMES = {
    "standard-webhooks": gettext_lazy("Standard Webhooks (webhook-signature)"),
    "stripe": "Stripe (Stripe-Signature)",
    "github": "GitHub (X-Hub-Signature-256)",
    "shopify": "Shopify (X-Shopify-Hmac-Sha256)",
    "woocommerce": "WooCommerce (X-WC-Webhook-Signature)",
    "slack": "Slack (X-Slack-Signature)",
    "hmac-sha256-hex": gettext_lazy("HMAC-SHA256 in hex"),
    "hmac-sha256-base64": gettext_lazy("HMAC-SHA256 in base64"),
    "hmac-sha256-prefixed": gettext_lazy("HMAC-SHA256 in hex behind sha256="),
}


class Address(NamedTuple):
    """One URL to paste."""

    label: str
    url: str
    id: str


class CallsBack:
    """What is told of the way back of one integration."""

    def __init__(self, request: HttpRequest, integration: TenantIntegration) -> None:
        self.request, self.integration = request, integration
        self.problem = ""
        self.inbound: Inbound | None = None
        self.has_secret = self.takes_only_actions = False
        try:
            adapter = integration.get_adapter()
            self.inbound = adapter.inbound
            self.has_secret = bool(adapter.inbound_secrets())
            self.takes_only_actions = adapter.takes_only_actions
        except IntegrationError as error:
            self.problem = error.message

    @property
    def addresses(self) -> list[Address]:
        """What the other side may call: a URL for each action that is allowed, and one for its own news."""
        found = [(_label(name), name) for name in self.integration.inbound_actions]
        if not self.takes_only_actions:
            found.append((_("Any event, for the application's own receivers"), EVENTS))
        return [
            Address(label, callback_address(self.request, self.integration, name), f"callback-{number}")
            for number, (label, name) in enumerate(found)
        ]

    @property
    def actions(self) -> list[str]:
        """What it may do here, in words."""
        return [_label(name) for name in self.integration.inbound_actions]

    @property
    def hint(self) -> str:
        """A doubt about the host in the addresses, "" for none."""
        return str(GUESSED) if self.addresses and is_guessed(self.integration) else ""

    @property
    def scheme(self) -> str:
        if self.inbound is None:
            return _("not chosen yet")
        words = SCHEMES.get(self.inbound.scheme, self.inbound.scheme)
        if not self.inbound.signature_header:
            return str(words)
        return _("{words}, header {name}").format(words=words, name=self.inbound.signature_header)

    @property
    def secret(self) -> Badge:
        if self.has_secret:
            return Badge("ok", _("✓ Set"), _("The stored secret is never shown."))
        return Badge("bad", _("✗ Not set"), _("Whatever comes is refused (401)."))

    @property
    def secret_title(self) -> str:
        """The words beside the box for the secret in the settings."""
        connector = connector_of(self.integration.integration_type)
        field = connector.manifest.field(self.inbound.secret_field) if connector and self.inbound else None
        return _(field.title) if field else _("the secret")

    def explanations(self) -> Iterator[Explanation]:
        """Yield whatever stops the other side from calling us."""
        if self.problem:
            yield Explanation("bad", _("Nothing is accepted: {problem}").format(problem=self.problem))
        elif self.inbound is None:
            yield Explanation("info", _("Nothing is accepted: choose in the settings how the other side signs."))
        elif not self.has_secret:
            words = _(
                "Nothing is accepted yet (401): enter “{secret_title}” in the settings, the same as there."
            ).format(secret_title=self.secret_title)
            yield Explanation("warn", words)
        elif not self.addresses:
            words = _("Nothing is accepted (403): tick in the settings what it may do when it calls back.")
            yield Explanation("info", words)
        if connection_model() is not TenantIntegration:
            words = _("CONNECTION_MODEL names another model: to the other side this one does not exist (404).")
            yield Explanation("warn", words)
        if not self.integration.is_active:
            yield Explanation("warn", _("The integration is switched off: to the other side it does not exist (404)."))
        elif not self.integration.is_enabled:
            words = _("The integration is disabled: what comes is kept, and processed when it is re-enabled.")
            yield Explanation("warn", words)


@page(Role.VIEWER)
def calling_back(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show the tab."""
    bench = open_bench(access, public_id, "calling-back")
    if bench.connector is None or not calls_back(bench.connector):
        raise Http404
    events = WebhookEvent.objects.filter(connection=bench.integration.pk).order_by("-id")
    sees = access.may(Capability.VIEW_DELIVERIES, bench.integration.tenant_id)
    rows = list(events.defer("body", "payload", "headers")[:SHOWN]) if sees else []
    for event in rows:
        event.connection = bench.integration
        event.badge, event.story = inbound_badge(event), inbound_story(event)  # type: ignore[attr-defined]
        event.what = harmless(event.event_type) or harmless(event.action)  # type: ignore[attr-defined]
        event.words = harmless(event.error)  # type: ignore[attr-defined]
    way = CallsBack(request, bench.integration)
    return show(
        request, access, "workbench_calling_back.html", {"bench": bench, "way": way, "rows": rows, "sees": sees}
    )


def _label(name: str) -> str:
    action = action_named(name)
    return _(action.label) if action else _("{name} (no longer offered)").format(name=name)
