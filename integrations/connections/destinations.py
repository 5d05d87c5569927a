"""Find the origins to which a connector sends secrets with given settings.

In: a connector class and a flat dict of settings. Out: a set of (scheme, host, port). A stored secret goes only where
it was entered for: a person who may edit an address must not be able to have another person's password sent there.
Origins come from every field of the kinds ``url`` and ``host``, from the base address that the connector makes of its
settings (``https://{shop}.example.com``), and from the addresses of its OAuth endpoints. Hosts that the manifest
itself names are the provider's own, and count as one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IntegrationNotConfigured
from integrations.transport.redaction import mask_url

from .binding import settings_of

if TYPE_CHECKING:
    from .models import TenantIntegration

Origin = tuple[str, str, int | None]

PORTS = {"http": 80, "https": 443}
PROVIDER: Origin = ("https", "the provider's own hosts", 443)


def destinations(connector: type[BaseConnector], settings: Mapping[str, Any]) -> frozenset[Origin]:
    """Return the origins that `connector` may send its secrets to; unreadable addresses are left out."""
    manifest = connector.manifest
    known = {**manifest.defaults(), **settings}
    urls = [str(known.get(field.name) or "") for field in manifest.fields if field.kind == "url"]
    urls += [base_address(connector, settings), *_token_addresses(manifest, known)]
    found = {_origin(url) for url in urls if url} | set(_hosts(manifest, known))
    return frozenset(PROVIDER if _is_providers(manifest, origin) else origin for origin in found if origin)


def base_address(connector: type[BaseConnector], settings: Mapping[str, Any]) -> str:
    """Return the base address that `connector` makes of `settings`, "" if there is none (yet)."""
    try:
        return connector(Binding.from_settings(connector.manifest, settings)).base_url
    except Exception:
        # Somebody else's code on settings that may be incomplete; every address field is looked at besides.
        return ""


def shown_target(integration: TenantIntegration) -> str:
    """Return where `integration` leads, for people: ``https://host/•••``, ``https://host`` or ``host:port``.

    Never a path. "" if no address is configured, or if its connector type is not installed.

    Raises:
        EncryptionError: the stored address does not open with our keys.
    """
    if integration.webhook_url:
        return mask_url(integration.webhook_url)
    try:
        connector = ConnectorRegistry.type_of(integration.integration_type)
    except IntegrationNotConfigured:
        return ""
    settings = settings_of(integration)
    parts = urlsplit(base_address(connector, settings))
    if parts.hostname:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    for _, host, port in _hosts(connector.manifest, {**connector.manifest.defaults(), **settings}):
        return f"{host}:{port}" if port else host
    return ""


def _hosts(manifest: Manifest, settings: Mapping[str, Any]) -> Iterator[Origin]:
    """Yield an origin for each field of the kind ``host``, with the port that stands beside it."""
    for field in manifest.fields:
        host = settings.get(field.name)
        if field.kind == "host" and host:
            prefix = field.name.removesuffix("host")
            port = str(settings.get(f"{prefix}port") or settings.get("port") or "")
            yield "", str(host).strip().lower().rstrip("."), int(port) if port.isascii() and port.isdigit() else None


def _token_addresses(manifest: Manifest, settings: Mapping[str, Any]) -> Iterator[str]:
    if manifest.oauth is not None:
        for address in (manifest.oauth.token_url, manifest.oauth.authorize_url):
            yield re.sub(r"\{(\w+)\}", lambda match: str(settings.get(match[1]) or ""), address)


def _origin(url: str) -> Origin | None:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None


def _is_providers(manifest: Manifest, origin: Origin) -> bool:
    """Tell whether the manifest names this host; ``*.example.com`` names none: anybody may have a host below it."""
    scheme, host, port = origin
    return host in manifest.allowed_hosts and (not scheme or (scheme, port) == ("https", 443))
