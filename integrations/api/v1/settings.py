"""Integrations' settings: read and changed with ETags, a new integration with its settings, its signing secret.

Secrets go in and never come out: what is stored is shown as dots, and dots that are sent back mean "unchanged". A
signing secret that was made now is in that answer, once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Schema
from ninja.responses import Status
from pydantic import Field

from integrations.api.caller import caller_of, one, tenant_of, tenant_shown
from integrations.api.checks import tick
from integrations.api.schemas import Name, Typed
from integrations.connections import event_types, payload_versions
from integrations.connections.models import LIMITS, SIGNING, EventSubscription, TenantIntegration
from integrations.connections.settings import change_settings, save_settings, shown_settings
from integrations.connections.signing_keys import old_key_until, reveal_signing_secret, rotate_signing_secret
from integrations.connectors.manifest import URL, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery.wakeup import wake_on_commit
from integrations.errors import ConfigurationError, EncryptionError, UnknownConnector
from integrations.forms.advice import about_url
from integrations.forms.store import first_secret
from integrations.inbound.address import EVENTS, callback_address
from integrations.tenancy.capabilities import Capability

from .conditional import READS, WRITES, etag_of, refuse_stale
from .document import INTEGRATION, MAKES_WITH_TAG, READ_PARAMETERS, WHEN, WRITE_PARAMETERS, example
from .integrations import router
from .problems import ROW_PROBLEMS, WRITE_PROBLEMS, Refused

__all__ = ["router"]  # that of integrations.py, with these operations too: an address has one router

COLUMNS = ("name", "is_active", *SIGNING, *LIMITS)
SETTINGS = {"url": "https://n8n.example.com/webhook/abc", "headers": {"X-API-Key": "…"}}
SHOWN = {
    "url": "https://n8n.example.com/•••",
    "headers": {"X-API-Key": "•••"},
}


def _words(name: str, more: str = "") -> str:
    """Return what the forms say of a column."""
    help_text = str(TenantIntegration._meta.get_field(name).help_text)  # type: ignore[union-attr]
    return f"{help_text} {more}".strip()


class SubscriptionIn(Schema):
    """What is wanted of one event type."""

    model_config = example(
        {"condition": "workitem.priority == 'Urgent'", "payload": "{text: workitem.reference_id}"}, strict=True
    )

    condition: str = Field("", max_length=5_000, description="JMESPath over the payload; empty: every event is sent")
    payload: str = Field(
        "", max_length=20_000, description="JMESPath that makes what is sent; empty: the event as it is"
    )
    payload_version: int | None = Field(
        None,
        ge=1,
        le=payload_versions.MOST,
        description="The version of the event's payload; left out or null: it stays, and a new one has the newest",
    )


class NewSubscription(SubscriptionIn):
    """One event type that a new integration wants."""

    model_config = example(
        {"event_type": "workitem_created", "condition": "workitem.priority == 'Urgent'"}, strict=True
    )

    event_type: str = Field(max_length=100)


class SettingsChange(Schema):
    """What is to change; what is left out stays as it is."""

    model_config = example(
        {"settings": {"url": "https://n8n.example.com/webhook/def"}, "max_attempts": 20}, strict=True
    )

    name: Name = ""
    is_active: bool = Field(True, description="False: no event is recorded for it, and what is pending is cancelled")
    is_signed: bool = Field(True, description=_words("is_signed"))
    renew_secret_days: int | None = Field(
        None, description="Make a new signing secret every … days; null: by hand only"
    )
    ordering: Literal["object", "none"] = Field("object", description="In order per object, or in any order (fastest)")
    max_in_flight: int | None = Field(None, description=_words("max_in_flight"))
    rate_limit_per_minute: int | None = Field(None, description=_words("rate_limit_per_minute"))
    timeout_seconds: float | None = Field(None, allow_inf_nan=False, description=_words("timeout_seconds"))
    max_attempts: int | None = Field(None, description=_words("max_attempts"))
    inbound_actions: list[str] = Field([], description=_words("inbound_actions"))
    settings: dict[str, Any] = Field(
        {}, description="of the connector type; dots: as it is stored, null: removed. Others stay as they are"
    )


class IntegrationIn(SettingsChange):
    """A new integration: its connector type, what that asks for (`GET /connector-types/…`), and what it wants."""

    model_config = example(
        {
            "connector_type": "webhook",
            "name": "Our n8n",
            "settings": SETTINGS,
            "subscriptions": [{"event_type": "workitem_created"}],
        },
        strict=True,
    )

    connector_type: str = Field(max_length=50)
    name: Name
    tenant: Typed | int | None = Field(None, description="slug or id; needed only by people of several tenants")
    subscriptions: list[NewSubscription] = Field([], max_length=500)


_EXAMPLE = {
    "id": INTEGRATION,
    "tenant": "acme-corp",
    "connector_type": "webhook",
    "connector_version": "1.0.0",
    "name": "Our n8n",
    "is_active": True,
    "is_signed": True,
    "renew_secret_days": None,
    "ordering": "object",
    "max_in_flight": None,
    "rate_limit_per_minute": None,
    "timeout_seconds": None,
    "max_attempts": 20,
    "inbound_actions": ["workitem-note"],
    "settings": SHOWN,
    "callback_urls": {"workitem-note": f"https://app.example.com/webhooks/{INTEGRATION}/workitem-note/"},
    "secret_renewed_at": None,
    "old_secret_until": None,
    "updated_at": WHEN,
}


class SettingsOut(Schema):
    """Everything that is set on an integration but its subscriptions. Secret settings are dots."""

    model_config = example(_EXAMPLE)

    id: UUID
    tenant: str
    connector_type: str
    connector_version: str
    name: str
    is_active: bool
    is_signed: bool
    renew_secret_days: int | None
    ordering: str
    max_in_flight: int | None
    rate_limit_per_minute: int | None
    timeout_seconds: float | None
    max_attempts: int | None
    inbound_actions: list[str]
    settings: dict[str, Any]
    callback_urls: dict[str, str] = Field(description="where the other side calls, for each action that it may do here")
    secret_renewed_at: datetime | None = Field(description="the signing secret, after the first one")
    old_secret_until: datetime | None = Field(description="until when the replaced signing secret signs beside the new")
    updated_at: datetime


class SettingsSaved(SettingsOut):
    """The settings as they are now.

    Attributes:
        signing_secret: one that was made by this request; shown once.
        advice: what is allowed and still deserves a look.
    """

    model_config = example({**_EXAMPLE, "signing_secret": "whsec_…", "advice": []})

    signing_secret: str | None
    advice: list[str]


class SecretIn(Schema):
    """A new signing secret."""

    model_config = example({}, strict=True)

    secret: str | None = Field(None, max_length=500, description="a whsec_… of your own; null: a random one is made")


class SecretOut(Schema):
    """A new signing secret: this is the one time that it is shown."""

    model_config = example({"signing_secret": "whsec_…", "old_secret_until": "2026-12-01T12:00:00Z"})

    signing_secret: str
    old_secret_until: datetime | None = Field(description="until then the old one signs beside it; null: there is none")


@router.post(
    "",
    response={201: SettingsSaved, **WRITE_PROBLEMS},
    summary="Set up an integration",
    openapi_extra=MAKES_WITH_TAG,
)
def create(request: HttpRequest, response: HttpResponse, data: IntegrationIn) -> Any:
    """Make an integration of a connector type, with its settings and subscriptions. Nothing is saved unless all of it
    is right; nothing is sent to find that out, so try it with `/test` or `/check`."""
    tenant = tenant_of(request, data.tenant)
    caller_of(request).require(Capability.ADD, tenant.pk)
    try:
        manifest = ConnectorRegistry.type_of(data.connector_type).manifest
    except UnknownConnector:
        words = "there is none called so; GET /connector-types lists them"
        raise ConfigurationError({"connector_type": words}) from None
    caller_of(request).require_kind(data.connector_type, tenant)
    integration = TenantIntegration(tenant=tenant, integration_type=data.connector_type)
    if not manifest.signs and "is_signed" not in data.model_fields_set:
        integration.is_signed = False
    with transaction.atomic():
        _put(request, integration, manifest, data)
        wanted = _subscriptions(manifest, data.subscriptions)
        _save(integration, [])
        for subscription in wanted:
            subscription.integration = integration
            subscription.save()
        secret = first_secret(integration, is_new=True) if manifest.signs else None
    response["Location"] = reverse("integrations-api-v1:integration", args=[integration.public_id])
    return Status(201, _saved(request, response, integration, secret, data))


@router.get(
    "/{uuid:public_id}/settings",
    response={200: SettingsOut, **READS, **ROW_PROBLEMS},
    summary="Read the settings of an integration",
    openapi_extra=READ_PARAMETERS,
)
def read(request: HttpRequest, response: HttpResponse, public_id: UUID) -> Any:
    """Return what is set on it. The header `ETag` stands for it: send it as `If-None-Match` to read only what is new,
    and as `If-Match` to change only what you have read."""
    integration = one(request, public_id, Capability.VIEW)
    found = _shown(request, integration)
    etag = _etag(found)
    if unchanged := refuse_stale(request, etag):
        return unchanged
    response["ETag"] = etag
    return found


@router.patch(
    "/{uuid:public_id}/settings",
    response={200: SettingsSaved, **WRITES, **WRITE_PROBLEMS},
    summary="Change the settings of an integration",
    openapi_extra=WRITE_PARAMETERS,
)
def change(request: HttpRequest, response: HttpResponse, public_id: UUID, data: SettingsChange) -> Any:
    """Change what is mentioned; nothing is saved unless all of it is right. A stored secret goes only to the server
    that it was entered for: when the address moves to another one, send the secrets again."""
    with transaction.atomic():
        integration = one(request, public_id, Capability.SETTINGS, lock=True, installed=True)
        refuse_stale(request, _etag(_shown(request, integration)))
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
        columns = _put(request, integration, manifest, data)
        _save(integration, columns)
        secret = first_secret(integration, is_new=False) if manifest.signs else None
        wake_on_commit({integration.pk})  # an address was mended, or pending rows are to be cancelled
    return _saved(request, response, integration, secret, data)


@router.post(
    "/{uuid:public_id}/rotate-secret",
    response={200: SecretOut, **WRITE_PROBLEMS},
    summary="Rotate the signing secret",
)
def rotate(request: HttpRequest, response: HttpResponse, public_id: UUID, data: SecretIn) -> Any:
    """Give it a new signing secret, which is shown in this answer alone. The old one signs beside it for
    INTEGRATIONS_ROTATION_OVERLAP_SECONDS, so no receiver is left behind."""
    integration = one(request, public_id, Capability.SECRETS, installed=True)
    if not integration.is_signed:
        raise Refused(409, "not_signed", "Its requests are not signed: switch is_signed on in its settings.")
    try:
        secret = rotate_signing_secret(integration, (data.secret or "").strip() or None)
    except ValueError as error:
        raise Refused(422, "wrong_secret", "This secret cannot sign.", {"secret": str(error)}) from None
    return _told(response, integration, secret)


@router.post(
    "/{uuid:public_id}/reveal-secret",
    response={200: SecretOut, **WRITE_PROBLEMS},
    summary="See the signing secret that was renewed by itself",
)
def reveal(request: HttpRequest, response: HttpResponse, public_id: UUID) -> Any:
    """Return the signing secret that the schedule made (`renew_secret_days`) and nobody has seen; the time of the old
    one runs from now on."""
    integration = one(request, public_id, Capability.SECRETS, installed=True)
    secret = reveal_signing_secret(integration)
    if secret is None:
        words = "There is no signing secret that nobody has seen; rotate it to get a new one."
        raise Refused(409, "nothing_to_reveal", words)
    return _told(response, integration, secret)


def _told(response: HttpResponse, integration: TenantIntegration, secret: str) -> dict[str, Any]:
    response["Cache-Control"] = "no-store, private"
    return {"signing_secret": secret, "old_secret_until": _old_until(integration)}


def _put(request: HttpRequest, integration: TenantIntegration, manifest: Manifest, data: SettingsChange) -> list[str]:
    """Put what was sent on `integration` (not saved); return the columns that it changes.

    Raises:
        ConfigurationError: all that is wrong, by field.
    """
    given, columns = data.model_fields_set, []
    for name in COLUMNS:
        if name in given and getattr(data, name) != getattr(integration, name):
            setattr(integration, name, getattr(data, name))
            columns.append(name)
    problems = _wrong(integration, columns)
    if "is_signed" in given and data.is_signed and not manifest.signs:
        problems["is_signed"] = f"requests to {manifest.label} cannot be signed"
    if "inbound_actions" in given:
        try:
            tick(request, integration, data.inbound_actions)
            columns.append("inbound_actions")
        except ConfigurationError as error:
            problems |= error.problems
    if "settings" in given or integration.pk is None:
        try:
            columns += change_settings(integration, data.settings)
        except ConfigurationError as error:
            problems |= {f"settings.{name}": words for name, words in error.problems.items()}
    if problems:
        raise ConfigurationError(problems)
    return columns


def _wrong(integration: TenantIntegration, columns: list[str]) -> dict[str, str]:
    """Return {column: what is wrong with it}, as the forms say it."""
    others = [field.name for field in TenantIntegration._meta.get_fields() if field.name not in columns]
    try:
        integration.clean_fields(exclude=others)
    except ValidationError as error:
        return {name: " ".join(messages) for name, messages in error.message_dict.items()}
    return {}


def _save(integration: TenantIntegration, columns: list[str]) -> None:
    try:
        save_settings(integration, columns)
    except ConfigurationError as error:
        raise ConfigurationError({"is_active": " ".join(error.problems.values())}) from None


def _subscriptions(manifest: Manifest, wanted: list[NewSubscription]) -> list[EventSubscription]:
    """Return the subscriptions of a new integration (not saved); problems are named by their places in the list."""
    rows: dict[str, EventSubscription] = {}
    problems: dict[str, str] = {}
    for number, each in enumerate(wanted):
        name, place = each.event_type, f"subscriptions.{number}"
        texts = {"condition": each.condition.strip(), "payload": each.payload.strip()}
        row = EventSubscription(event_type=name, payload_version=each.payload_version, **texts)
        if refusal := "it is named before" if name in rows else refusal_of(name, manifest):
            problems[f"{place}.event_type"] = refusal
        else:
            problems |= {f"{place}.{column}": " ".join(words) for column, words in row.problems().items()}
        rows[name] = row
    if problems:
        raise ConfigurationError(problems)
    return list(rows.values())


def refusal_of(event_type: str, manifest: Manifest) -> str:
    """Say why integrations of this type cannot subscribe to `event_type`, "" if they can."""
    offered = dict(event_types.offered_to(manifest))
    if event_type in offered:
        return ""
    if event_type in dict(event_types.choices()):
        return event_types.refusal(event_type, manifest)
    return f"there is no such event type; there are: {', '.join(sorted(offered)) or 'none that it takes'}"


def _saved(
    request: HttpRequest,
    response: HttpResponse,
    integration: TenantIntegration,
    secret: str | None,
    data: SettingsChange,
) -> dict[str, Any]:
    found = _shown(request, integration)
    response["ETag"] = _etag(found)
    if secret:
        response["Cache-Control"] = "no-store, private"
    address = data.settings.get(URL)
    advice = list(about_url(address)) if isinstance(address, str) else []
    return {**found, "signing_secret": secret, "advice": advice}


def _shown(request: HttpRequest, integration: TenantIntegration) -> dict[str, Any]:
    names = [*integration.inbound_actions, EVENTS]
    return {
        "id": integration.public_id,
        "tenant": tenant_shown(integration),
        "connector_type": integration.integration_type,
        "connector_version": integration.connector_version,
        **{
            name: getattr(integration, name)
            for name in (*COLUMNS, "inbound_actions", "secret_renewed_at", "updated_at")
        },
        "settings": shown_settings(integration),
        "callback_urls": {name: callback_address(request, integration, name) for name in names},
        "old_secret_until": _old_until(integration),
    }


def _old_until(integration: TenantIntegration) -> datetime | None:
    try:
        return old_key_until(integration.credentials.get("signing_keys") or [])
    except EncryptionError:
        return None  # unreadable; the health says so


def _etag(found: dict[str, Any]) -> str:
    """Return the tag of the settings: what was saved, whichever name of ours they are asked under, and whenever."""
    return etag_of({name: value for name, value in found.items() if name not in ("callback_urls", "old_secret_until")})
