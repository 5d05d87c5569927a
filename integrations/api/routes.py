"""The JSON API under /api/: kinds of connectors, a tenant's connections, tests, health.

Session authentication with Django's CSRF protection; permissions are those of the admin. What belongs to another
tenant is answered as what does not exist. ``GET /api/docs`` describes the calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from ninja import NinjaAPI, Query, Status
from ninja.security import django_auth

from integrations.connections import event_types
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.error_reports import hides_secrets
from integrations.delivery.wakeup import wake_on_commit
from integrations.errors import ConfigurationError, IntegrationError, IntegrationNotConfigured, UnknownConnector
from integrations.inbound.actions import action_choices, not_theirs
from integrations.label import permission
from integrations.services.lookup import list_available_providers
from integrations.services.settings import change_settings, save_settings, shown_settings
from integrations.services.status import overall, statuses
from integrations.services.trial import try_connection
from integrations.tenancy.scope import tenants_of
from integrations.tenancy.tenant import find_tenant, slug_of

from .pushes import router as pushes
from .schemas import (
    MAX_OFFSET,
    ConnectionChange,
    ConnectionIn,
    ConnectionOut,
    ConnectorOut,
    Problem,
    TestOut,
)
from .scope import one, require, require_kind, visible

api = NinjaAPI(
    title="Integrations",
    version="1",
    urls_namespace="integrations-api",
    auth=django_auth,
    docs_decorator=staff_member_required,
)
api.add_decorator(hides_secrets, mode="view")
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
    return api.create_response(request, Problem(code="forbidden", message="you may not do this"), status=403)


@api.get("/connectors/", response=list[ConnectorOut])
def connectors(request: HttpRequest, family: str | None = Query(None)) -> Any:
    """List the kinds of systems that can be connected."""
    return [_connector(manifest) for manifest in list_available_providers(family)]


@api.get("/connectors/health", response={200: dict[str, Any], 503: dict[str, Any]}, auth=None)
def health(request: HttpRequest) -> Any:
    """Say how the connectors are; who is signed in sees those of their own tenants. 503: one kind is down.

    For everybody else, and for whoever sees several tenants, one tenant's trouble is no outage: a kind counts as down
    if it fails for several.
    """
    user = request.user
    everybody = not user.is_authenticated
    rows = TenantIntegration.objects.all() if everybody else visible(request)
    found = statuses(rows)
    state = overall(found, tenants=2 if everybody else None)
    body: dict[str, Any] = {"status": state}
    if not everybody and user.has_perm(permission("view", "tenantintegration")):
        body["connectors"] = [status.as_dict() for status in found]
    return Status(503 if state == "down" else 200, body)


@api.get("/connections/", response=list[ConnectionOut])
def connections(
    request: HttpRequest, limit: int = Query(100, ge=1, le=500), offset: int = Query(0, ge=0, le=MAX_OFFSET)
) -> Any:
    """List the connections of your tenants."""
    require(request, "view")
    rows = visible(request).select_related("tenant").prefetch_related("subscriptions").order_by("id")
    return [_connection(row) for row in rows[offset : offset + limit]]


@api.post("/connections/", response={201: TestOut, 422: Problem})
def setup_connection(request: HttpRequest, data: ConnectionIn) -> Any:
    """Make a connection, store its secrets encrypted, and try it; it is kept also if the try fails."""
    require(request, "add")
    require_kind(request, data.type)
    integration = TenantIntegration(
        tenant=_tenant(request, data.tenant), integration_type=data.type, name=data.name, is_active=data.is_active
    )
    change_settings(integration, data.settings)
    _check_events(integration, data.events, {})
    _check_expressions(data, data.events, {})
    _tick(request, integration, data.inbound_actions)
    with transaction.atomic():
        save_settings(integration, [])
        integration.subscribe(*data.events, conditions=data.conditions, payloads=data.payloads)
    return Status(201, _tried(request, integration))


@api.get("/connections/{uuid:connection_id}", response=ConnectionOut)
def connection(request: HttpRequest, connection_id: UUID) -> Any:
    require(request, "view")
    return _connection(one(request, connection_id))


@api.patch("/connections/{uuid:connection_id}", response={200: ConnectionOut, 422: Problem})
def change_connection(request: HttpRequest, connection_id: UUID, data: ConnectionChange) -> Any:
    """Change what is mentioned; nothing is saved unless all of it is right."""
    require(request, "change")
    with transaction.atomic():
        integration = one(request, connection_id, lock=True)
        require_kind(request, integration.integration_type)
        columns = change_settings(integration, data.settings) if data.settings is not None else []
        for name in ("name", "is_active"):
            if (value := getattr(data, name)) is not None and value != getattr(integration, name):
                setattr(integration, name, value)
                columns.append(name)
        if data.inbound_actions is not None:
            _tick(request, integration, data.inbound_actions)
            columns.append("inbound_actions")
        save_settings(integration, columns)
        _change_events(integration, data)
        wake_on_commit({integration.pk})  # an address was mended, or pending rows are to be cancelled
    return _connection(integration)


@api.post("/connections/{uuid:connection_id}/test", response=TestOut)
def test_connection(request: HttpRequest, connection_id: UUID) -> Any:
    """Try the stored settings now."""
    require(request, "change")
    integration = one(request, connection_id)
    require_kind(request, integration.integration_type)
    return _tried(request, integration)


def _tried(request: HttpRequest, integration: TenantIntegration) -> TestOut:
    result = try_connection(integration, actor=request.user.get_username())
    return TestOut(
        id=integration.public_id,
        connected=result.success,
        message=result.message,
        latency_ms=round(result.latency_ms),
        status=result.status,
    )


def _tenant(request: HttpRequest, key: str | int | None) -> Any:
    mine = tenants_of(request.user)
    if key is None:
        only = list(mine[:2])
        if len(only) == 1:
            return only[0]
        raise ConfigurationError({"tenant": "say which one: its slug or id"})
    tenant = find_tenant(key)
    if tenant is None or not mine.filter(pk=tenant.pk).exists():
        raise ConfigurationError({"tenant": "there is no such tenant"})
    return tenant


def _check(field: str, names: list[str], choices: list[tuple[str, str]]) -> None:
    known = [name for name, _ in choices]
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError({field: f"{len(unknown)} unknown; there are: {', '.join(known)}"})


def _change_events(integration: TenantIntegration, data: ConnectionChange) -> None:
    stored = {each.event_type: each for each in integration.subscriptions.all()}
    events = data.events if data.events is not None else list(stored)
    if data.events is not None:
        _check_events(integration, events, stored)
    _check_expressions(data, events, stored)
    if not data.events is data.conditions is data.payloads is None:
        integration.subscribe(*events, conditions=data.conditions, payloads=data.payloads)


def _check_events(integration: TenantIntegration, names: list[str], stored: Collection[str]) -> None:
    """Refuse event types that nobody emits, and those that this kind of system cannot take; what is stored may stay."""
    manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    offered = dict(event_types.offered_to(manifest)).keys() | set(stored)
    known = dict(event_types.choices())
    if cannot := [name for name in names if name in known and name not in offered]:
        raise ConfigurationError({"events": "; ".join(event_types.refusal(name, manifest) for name in cannot)})
    _check("events", names, [(name, "") for name in sorted(offered)])


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
                found = EventSubscription(event_type=event_type, **{column: expression}).problems()
                if messages := [message for each in found.values() for message in each]:
                    problems[name] = " ".join(messages)
    if problems:
        raise ConfigurationError(problems)


def _tick(request: HttpRequest, integration: TenantIntegration, names: list[str]) -> None:
    """Put what it may do when it calls back on `integration` (not saved)."""
    # What is ticked already may stay, offered or not: whoever sends back what they got says nothing wrong.
    ticked = integration.inbound_actions
    _check("inbound_actions", names, action_choices() + [(name, "") for name in ticked])
    if problem := not_theirs(request.user, names, ticked):
        raise ConfigurationError({"inbound_actions": problem})
    integration.inbound_actions = sorted(set(names))


def _connector(manifest: Manifest) -> ConnectorOut:
    fields = [field.model_dump(exclude_defaults=True) | {"label": field.title} for field in manifest.fields]
    return ConnectorOut(
        type=manifest.key,
        fields=fields,
        events=[name for name, _ in event_types.offered_to(manifest)],
        **{name: getattr(manifest, name) for name in ("label", "family", "version", "description", "does", "docs_url")},
    )


def _settings(integration: TenantIntegration) -> dict[str, Any]:
    """Return what may be shown of the settings; one that nobody can read must not hide all the others."""
    try:
        return shown_settings(integration)
    except IntegrationNotConfigured:  # the kind is not installed, or a key is missing
        return {}


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
        tenant=slug_of(integration.tenant) or str(integration.tenant_id),
        version=integration.connector_version,
        settings=_settings(integration),
        events=sorted(subscription.event_type for subscription in integration.subscriptions.all()),
        conditions={each.event_type: each.condition for each in integration.subscriptions.all() if each.condition},
        payloads={each.event_type: each.payload for each in integration.subscriptions.all() if each.payload},
        **{name: getattr(integration, name) for name in same},
    )
