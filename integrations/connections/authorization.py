"""The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 9700): a person grants access at the provider.

`start` returns the address to send them to; `finish` takes the query that they come back with. The state in between is
random, stored as a hash, valid once and for ten minutes, and bound to the connection (its model, row and tenant), the
provider, the user and their session. What the provider's redirect says is untrusted: it is looked up, never shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

from oauthlib.oauth2 import WebApplicationClient

from integrations.auth.oauth2 import fingerprint
from integrations.auth.spec import OAuth, filled, host_is_configured
from integrations.auth.token_endpoint import TokenEndpoint
from integrations.connectors.port import Client
from integrations.connectors.registry import ConnectorRegistry
from integrations.database import clock
from integrations.errors import ConfigurationError, IntegrationError, IntegrationNotConfigured
from integrations.transport.guard.check import check_allowed
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import client as process_client
from integrations.transport.http_client import with_query

from .abstract import AbstractConnection
from .binding import bind
from .grants import AbstractGrant, OAuthRequest
from .models import TenantIntegration
from .token_store import GrantTokens

MINUTES = 10
VERIFIER_LENGTH = 64  # RFC 7636: 43 to 128 characters


class AuthorizationRefused(Exception):
    """What came back finishes nothing; the text is ours and says what to do."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: a user in one session of theirs."""

    user: Any
    session_key: str

    @property
    def user_id(self) -> str:
        return str(self.user.pk)

    @property
    def session_hash(self) -> str:
        return _hash(self.session_key)


def wants_authorization(integration: AbstractConnection) -> bool:
    """Tell whether a person must agree at the provider before `integration` can do anything."""
    try:
        oauth = bind(integration).oauth  # a connector with several grants chooses by its settings
    except IntegrationNotConfigured:
        return False
    return oauth is not None and oauth.grant == "authorization_code"


def awaits_connection(integration: AbstractConnection) -> bool:
    """Tell whether `integration` still has to be connected at its provider; its grant may be joined."""
    try:
        if ConnectorRegistry.type_of(integration.connector_key).manifest.oauth is None:
            return False
        connector = bind(integration)
    except IntegrationNotConfigured:
        return False  # something else comes first
    oauth = connector.oauth
    if oauth is None or oauth.grant != "authorization_code" or connector.settings.get("refresh_token"):
        return False
    grant = grant_of(integration)
    return grant is None or not (grant.tokens_encrypted or grant.invalid_since)


def grant_of(connection: AbstractConnection) -> AbstractGrant | None:
    """Return what the provider allows `connection` to do, if anybody has asked; it may be joined."""
    if isinstance(connection, TenantIntegration):
        grant: AbstractGrant | None = getattr(connection, "oauth_grant", None)
        return grant
    return None if connection._state.adding else GrantTokens(connection).grant()


def start(
    integration: AbstractConnection, visitor: Visitor, redirect_uri: str, *, admin_site: str = "", return_to: str = ""
) -> str:
    """Return the provider's address where `visitor` may agree; whether they may start this, the caller has asked.

    Args:
        admin_site: the name of the admin site whose page began it; it decides again when they come back.
        return_to: where the page that began it wants them then.

    Raises:
        IntegrationNotConfigured: the connector knows no such flow, or a setting that it needs is missing.
        IntegrationBlocked: the address leads where this connector may not.
    """
    if integration._state.adding:
        raise IntegrationNotConfigured("the connection is not saved yet")
    oauth, settings = _oauth_of(integration)
    client_id = str(settings.get("client_id") or "")
    if not client_id:
        raise ConfigurationError({"client_id": "missing; set it on the integration"})
    address = filled(oauth.authorize_url, settings)
    manifest = ConnectorRegistry.type_of(integration.connector_key).manifest
    bounds = manifest.allowed_hosts if host_is_configured(oauth.authorize_url) else ()
    check_allowed(address, bounds, AddressPolicy.from_conf())
    client = WebApplicationClient(client_id)
    verifier = client.create_code_verifier(VERIFIER_LENGTH)
    state = secrets.token_urlsafe(32)
    now = clock.now()
    OAuthRequest.objects.filter(expires_at__lte=now).delete()
    request = OAuthRequest(
        state_hash=_hash(state),
        **_whose(integration),
        user_id=visitor.user_id,
        session_hash=visitor.session_hash,
        provider=integration.connector_key,
        redirect_uri=redirect_uri,
        admin_site=admin_site,
        return_to=return_to,
        expires_at=now + timedelta(minutes=MINUTES),
    )
    request.verifier = verifier
    request.save(force_insert=True)
    ours = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": oauth.scope or None,
        "state": state,
        "code_challenge": client.create_code_challenge(verifier, "S256"),
        "code_challenge_method": "S256",
    }
    return with_query(address, {**oauth.extra, **ours})


def _whose(connection: AbstractConnection) -> dict[str, Any]:
    """Return the columns of a request that say what it is about."""
    if isinstance(connection, TenantIntegration):
        return {"integration": connection, "tenant_id": connection.tenant_id}
    return {"connection_model": connection._meta.label_lower, "connection_id": connection.public_id}


def asked_with(state: str) -> OAuthRequest | None:
    """Return the request that was sent with `state` and waits for its answer; it stays."""
    return OAuthRequest.objects.select_related("integration").filter(state_hash=_hash(state)).first()


def finish(
    provider: str,
    answer: Mapping[str, str],
    visitor: Visitor,
    client: Client | None = None,
    *,
    may_connect: Callable[[Any], bool] | None = None,
) -> AbstractConnection:
    """Exchange the code in `answer` (the redirect's query), keep the grant, and return its connection.

    Args:
        may_connect: tells whether the visitor may (still) change this connection; None: the connection's own rule.

    Raises:
        AuthorizationRefused: wrong, used or expired state, or the provider did not agree.
        IntegrationError: the token endpoint refused or did not answer; the person starts again.
    """
    request = _taken(answer.get("state", ""))
    integration: AbstractConnection | None = request.connection() if request else None
    if request is None or integration is None or not _is_theirs(request, integration, provider, visitor):
        raise AuthorizationRefused("This link is invalid or has expired. Start again from the integration's page.")
    if not (may_connect(integration) if may_connect else integration.may_be_connected_by(visitor.user)):
        # They may have left it meanwhile.
        raise AuthorizationRefused("This link is invalid or has expired. Start again from the integration's page.")
    if "error" in answer or not answer.get("code"):
        raise AuthorizationRefused("The provider did not grant access. Start again from the integration's page.")
    oauth, settings = _oauth_of(integration)
    endpoint = TokenEndpoint(
        oauth,
        settings,
        client or process_client(),
        allowed_hosts=ConnectorRegistry.type_of(integration.connector_key).manifest.allowed_hosts,
    )
    token = endpoint.exchange(answer["code"], request.redirect_uri, request.verifier)
    # A provider that grants exactly what was asked for need not repeat it (RFC 6749 §5.1).
    token = replace(token, scope=token.scope or oauth.scope, made_with=fingerprint(oauth, settings))
    GrantTokens(integration).write(lambda grant: grant.granted(token, visitor.user.get_username()))
    return integration


def missing_scopes(integration: AbstractConnection) -> tuple[str, ...]:
    """Return what was asked for and was not granted: a person may untick it at the provider."""
    grant = GrantTokens(integration).grant()
    if grant is None or not grant.scope:
        return ()
    try:
        oauth, _ = _oauth_of(integration)
    except IntegrationError:
        return ()
    return oauth.not_in(grant.scope)


def _taken(state: str) -> OAuthRequest | None:
    """Return the request with `state`, once: it is deleted."""
    request = asked_with(state)
    if request is None:
        return None
    count, _ = OAuthRequest.objects.filter(pk=request.pk).delete()
    return request if count and request.expires_at > clock.now() else None


def _is_theirs(request: OAuthRequest, connection: AbstractConnection, provider: str, visitor: Visitor) -> bool:
    return (
        request.provider == provider == connection.connector_key
        and (not isinstance(connection, TenantIntegration) or request.tenant_id == connection.tenant_id)
        and request.user_id == visitor.user_id
        and secrets.compare_digest(request.session_hash, visitor.session_hash)
    )


def _oauth_of(integration: AbstractConnection) -> tuple[OAuth, dict[str, Any]]:
    # Bound as for a delivery: the token is good only for the very settings that a lane will use it with.
    connector = bind(integration)
    if connector.oauth is None or connector.oauth.grant != "authorization_code":
        raise IntegrationNotConfigured(f"{connector.manifest.label} cannot be connected with OAuth")
    return connector.oauth, connector.settings


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
