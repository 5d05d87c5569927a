"""Choosing what an integration talks to: the select, grouped by family, and what is said of a chosen connector."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.access import usable_by
from integrations.connections.event_types import offered_to
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.errors import IntegrationNotConfigured

BLANK = ("", "---------")
_DOES = {
    "deliver": gettext_lazy("receives events"),
    "export": gettext_lazy("takes orders"),
    "check": gettext_lazy("can be checked without sending anything"),
    "read": gettext_lazy("can be read from"),
}


def connector_of(key: str | None) -> type[BaseConnector] | None:
    """Return the connector called `key`, None if there is none that runs here."""
    try:
        return ConnectorRegistry.type_of(key) if key else None
    except IntegrationNotConfigured:
        return None


def grouped_choices(user: Any) -> list[Any]:
    """Return Django choices of the connectors that `user` may use, a group per family; None: all."""
    offered = manifests() if user is None else usable_by(user)
    by_family = sorted(offered, key=lambda manifest: (manifest.family == "other", manifest.family, manifest.label))
    groups = groupby(by_family, key=lambda manifest: manifest.family)
    return [
        BLANK,
        *(
            (family_title(family), [(manifest.key, manifest.label) for manifest in members])
            for family, members in groups
        ),
    ]


def family_title(family: str) -> str:
    """Return a heading: ``crm`` → ``CRM``, ``webhook`` → ``Webhook``; what is that short is an abbreviation."""
    return family.upper() if len(family) <= 3 else family.replace("-", " ").capitalize()


def about(manifest: Manifest) -> SafeString:
    """Return the connector's own words, what it can do, where its documentation is, and how secrets behave."""
    does = ", ".join(str(_DOES[word]) for word in manifest.does)
    lines = [
        format_html(
            "{} <span class='ig-quiet'>{}</span>",
            _(manifest.description or manifest.label),
            _("It {does}.").format(does=does),
        ),
        _("Secrets are write-only: dots stand for a stored value, an emptied field removes it."),
    ]
    if manifest.docs_url.startswith("https://"):
        link = '{} <a href="{}" target="_blank" rel="noopener noreferrer">{}</a>'
        lines[0] = format_html(link, lines[0], manifest.docs_url, _("Documentation"))
    return format_html_join("", "<p>{}</p>", ((line,) for line in lines))


NOT_INSTALLED = gettext_lazy(
    "The connector of this integration is not installed here (any more), so its settings can only be seen. "
    "They are kept: install it, or one of the same name, and everything is as it was."
)


def title(integration: TenantIntegration) -> SafeString:
    """Return which connector an integration has, and which version of it saved the settings."""
    connector = connector_of(integration.integration_type)
    if connector is None:
        gone = _("not installed")
        return format_html("{} <span class='ig-quiet'>{}</span>", integration.integration_type, gone)
    words = version(connector.manifest, integration.connector_version)
    return format_html("{} <span class='ig-quiet'>{}</span>", connector.manifest.label, words)


def version(manifest: Manifest, stored: str) -> str:
    """Return ``1.2.0``, or ``1.2.0, saved by 1.1.0``."""
    return (
        manifest.version
        if stored in ("", manifest.version)
        else _("{version}, saved by {stored}").format(version=manifest.version, stored=stored)
    )


def offers_events(manifest: Manifest, integration: TenantIntegration | None = None) -> bool:
    """Tell whether there are events to tick; what was ticked before stays on offer, so that it can be taken away."""
    return bool(offered_to(manifest)) or (integration is not None and integration.subscriptions.exists())


def calls_back(connector: type[BaseConnector]) -> bool:
    """Tell whether this kind of system has a way to send us webhooks: always the same, or what people choose."""
    return connector.manifest.inbound is not None or connector.inbound is not BaseConnector.inbound


def offers_actions(connector: type[BaseConnector], integration: TenantIntegration | None = None) -> bool:
    """Tell whether actions are offered: only where people say what is sent could a body name one of our objects.

    What was allowed before stays on offer, so that it can be taken away.
    """
    is_free = connector.takes_only_actions or connector.inbound is not BaseConnector.inbound
    return calls_back(connector) and (is_free or bool(integration is not None and integration.inbound_actions))
