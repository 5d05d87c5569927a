"""The JSON API under /api/: kinds of connectors, a tenant's connections, tests, health.

An API key, or a session of Django with its CSRF protection (authentication.py); what the caller may do is in
tenancy/capabilities.py. What belongs to another tenant is answered as what does not exist. ``GET /api/docs`` describes
the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import user_passes_test
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Query, Status

from integrations.api_keys.proof import KeyRefused, TooManyRequests
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.settings import change_settings, save_settings, shown_settings
from integrations.connectors.registry import manifests
from integrations.credentials.error_reports import hides_secrets
from integrations.delivery.trial import try_connection
from integrations.delivery.wakeup import wake_on_commit
from integrations.errors import ConfigurationError, IntegrationError, UnknownConnector
from integrations.pages.admin_pages import admin_address
from integrations.services.status import overall, statuses
from integrations.tenancy.capabilities import Capability

from .authentication import Anybody, KeyAuth, PersonAuth, tells_quota
from .body import ShallowJSON
from .caller import Caller, caller_of, one, tenant_of, tenant_shown, visible
from .checks import check_events, tick
from .docs_page import DocsPage
from .pushes import router as pushes
from .schemas import (
    MAX_OFFSET,
    ConnectionChange,
    ConnectionIn,
    ConnectionOut,
    ConnectorOut,
    Problem,
    TestOut,
    connector_shown,
)
from .waiting import TOO_MANY, place_to_try


def _for_staff(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        is_staff = user_passes_test(lambda user: user.is_active and user.is_staff, admin_address("login") or None)
        return is_staff(view)(request, *args, **kwargs)

    return shown


api = NinjaAPI(
    title="Integrations",
    version="1",
    urls_namespace="integrations-api",
    auth=[KeyAuth(), PersonAuth()],
    parser=ShallowJSON(),
    docs=DocsPage(),
    docs_decorator=_for_staff,
)
api.add_decorator(hides_secrets, mode="view")
api.add_decorator(tells_quota, mode="view")
api.add_router("", pushes)


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> Any:
    # Django's business, whose reports are filtered; with DEBUG, ninja would log and answer by itself.
    raise error


@api.exception_handler(ConfigurationError)
def _wrong_settings(request: HttpRequest, error: ConfigurationError) -> Any:
    problem = Problem(code=error.code, message="some settings are missing or wrong", fields=error.problems)
    return api.create_response(request, problem, status=422)


@api.exception_handler(UnknownConnector)
def _unknown_type(request: HttpRequest, error: UnknownConnector) -> Any:
    return api.create_response(request, Problem(code=error.code, message=error.message), status=422)


@api.exception_handler(IntegrationError)
def _failed(request: HttpRequest, error: IntegrationError) -> Any:
    return api.create_response(request, Problem(code=error.code, message=error.message), status=409)


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: PermissionDenied) -> Any:
    message = str(error) or "You may not do this."
    return api.create_response(request, Problem(code="forbidden", message=message), status=403)


@api.exception_handler(KeyRefused)
def _wrong_key(request: HttpRequest, error: KeyRefused) -> Any:
    response = api.create_response(request, Problem(code="wrong_api_key", message=str(error)), status=401)
    response["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return response


@api.exception_handler(TooManyRequests)
def _too_many(request: HttpRequest, error: TooManyRequests) -> Any:
    problem = Problem(code="too_many_requests", message=str(error))
    return api.create_response(request, problem, status=429)


@api.get("/connectors/", response=list[ConnectorOut])
def connectors(request: HttpRequest, family: str | None = Query(None)) -> Any:
    """List the kinds of systems that can be connected."""
    return [connector_shown(manifest) for manifest in manifests(family)]


@api.get(
    "/connectors/health",
    response={200: dict[str, Any], 503: dict[str, Any]},
    auth=[KeyAuth(), PersonAuth(), Anybody()],
)
def health(request: HttpRequest) -> Any:
    """Say how the connectors are; who is known sees those of their own tenants. 503: one kind is down.

    For everybody else, and for whoever sees several tenants, one tenant's trouble is no outage: a kind counts as down
    if it fails for several.
    """
    caller = caller_of(request)
    everybody = not isinstance(caller, Caller)
    tenants = None if everybody else caller.tenants_where(Capability.VIEW)
    is_shown = tenants is not None and tenants.exists()
    rows = TenantIntegration.objects.all() if everybody else TenantIntegration.objects.present()
    found = statuses(rows if everybody else rows.filter(tenant__in=tenants if is_shown else caller.tenants()))
    state = overall(found, tenants=2 if everybody else None)
    body: dict[str, Any] = {"status": state}
    if is_shown:
        body["connectors"] = [status.as_dict() for status in found]
    return Status(503 if state == "down" else 200, body)


@api.get("/connections/", response=list[ConnectionOut])
def connections(
    request: HttpRequest, limit: int = Query(100, ge=1, le=500), offset: int = Query(0, ge=0, le=MAX_OFFSET)
) -> Any:
    """List the connections of your tenants."""
    rows = visible(request, Capability.VIEW).select_related("tenant").prefetch_related("subscriptions").order_by("id")
    return [_connection(row) for row in rows[offset : offset + limit]]


@api.post("/connections/", response={201: TestOut, 422: Problem})
def setup_connection(request: HttpRequest, data: ConnectionIn) -> Any:
    """Make a connection, store its secrets encrypted, and try it; it is kept also if the try fails."""
    tenant = tenant_of(request, data.tenant)
    caller_of(request).require(Capability.ADD, tenant.pk)
    caller_of(request).require_kind(data.type, tenant)
    integration = TenantIntegration(tenant=tenant, integration_type=data.type, name=data.name, is_active=data.is_active)
    change_settings(integration, data.settings)
    check_events(integration, data.events, {})
    _check_expressions(data, data.events, {})
    tick(request, integration, data.inbound_actions)
    with transaction.atomic():
        save_settings(integration, [])
        integration.subscribe(*data.events, conditions=data.conditions, payloads=data.payloads)
    return Status(201, _tried(request, integration))


@api.get("/connections/{uuid:connection_id}", response=ConnectionOut)
def connection(request: HttpRequest, connection_id: UUID) -> Any:
    return _connection(one(request, connection_id, Capability.VIEW))


@api.patch("/connections/{uuid:connection_id}", response={200: ConnectionOut, 422: Problem})
def change_connection(request: HttpRequest, connection_id: UUID, data: ConnectionChange) -> Any:
    """Change what is mentioned; nothing is saved unless all of it is right."""
    with transaction.atomic():
        integration = one(request, connection_id, Capability.SETTINGS, lock=True, installed=True)
        columns = change_settings(integration, data.settings) if data.settings is not None else []
        for name in ("name", "is_active"):
            if (value := getattr(data, name)) is not None and value != getattr(integration, name):
                setattr(integration, name, value)
                columns.append(name)
        if data.inbound_actions is not None:
            tick(request, integration, data.inbound_actions)
            columns.append("inbound_actions")
        save_settings(integration, columns)
        _change_events(integration, data)
        wake_on_commit({integration.pk})  # an address was mended, or pending rows are to be cancelled
    return _connection(integration)


@api.post("/connections/{uuid:connection_id}/test", response=TestOut)
def test_connection(request: HttpRequest, connection_id: UUID) -> Any:
    """Try the stored settings now."""
    return _tried(request, one(request, connection_id, Capability.TEST, installed=True))


def _tried(request: HttpRequest, integration: TenantIntegration) -> TestOut:
    with place_to_try(integration.tenant_id) as is_free:
        if not is_free:
            return TestOut(
                id=integration.public_id,
                connected=integration.is_connected,
                message=f"Not tried. {TOO_MANY}",
                latency_ms=0,
            )
        result = try_connection(integration, actor=caller_of(request).name)
    return TestOut(
        id=integration.public_id,
        connected=result.success,
        message=result.message,
        latency_ms=round(result.latency_ms),
        status=result.status,
    )


def _change_events(integration: TenantIntegration, data: ConnectionChange) -> None:
    stored = {each.event_type: each for each in integration.subscriptions.all()}
    events = data.events if data.events is not None else list(stored)
    if data.events is not None:
        check_events(integration, events, stored)
    _check_expressions(data, events, stored)
    if not data.events is data.conditions is data.payloads is None:
        integration.subscribe(*events, conditions=data.conditions, payloads=data.payloads)


def _check_expressions(
    data: ConnectionIn | ConnectionChange, events: Collection[str], stored: Mapping[str, EventSubscription]
) -> None:
    """Refuse conditions that no event can meet and payloads that cannot be made, as forms do; what is stored already
    may stay."""
    problems = {}
    for column, given in (("condition", data.conditions), ("payload", data.payloads)):
        for event_type, expression in (given or {}).items():
            name = f"{column}s.{event_type[:100]}"
            before = stored.get(event_type)
            if event_type not in events:
                problems[name] = "this event type is not among the events"
            elif before is None or expression != getattr(before, column):
                version = None if before is None else before.payload_version
                row = EventSubscription(event_type=event_type, payload_version=version, **{column: expression})
                found = row.problems()
                if messages := [message for each in found.values() for message in each]:
                    problems[name] = " ".join(messages)
    if problems:
        raise ConfigurationError(problems)


def _connection(integration: TenantIntegration) -> ConnectionOut:
    same = (
        "name",
        "is_active",
        "is_enabled",
        "is_connected",
        "disabled_reason",
        "inbound_actions",
        "last_test_at",
        "created_at",
        "updated_at",
    )
    return ConnectionOut(
        id=integration.public_id,
        type=integration.integration_type,
        tenant=tenant_shown(integration),
        version=integration.connector_version,
        settings=shown_settings(integration),
        events=sorted(subscription.event_type for subscription in integration.subscriptions.all()),
        conditions={each.event_type: each.condition for each in integration.subscriptions.all() if each.condition},
        payloads={each.event_type: each.payload for each in integration.subscriptions.all() if each.payload},
        **{name: getattr(integration, name) for name in same},
    )
