"""What goes over the wire of the API. Ids are public UUIDs; secrets go in and never come out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from integrations.connections import event_types
from integrations.connectors.manifest import Manifest
from integrations.tenancy.harmless_text import problem_of


def _typed(text: str) -> str:
    if problem := problem_of(text):
        raise ValueError(problem)
    return text


def _in_our_time(moment: datetime) -> datetime:
    if not 1970 < moment.year < 9999:
        raise ValueError("this is no time of ours")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_our_time)]  # whatever its zone, databases know it
Typed = Annotated[str, AfterValidator(_typed)]  # by a person, as in a form of the admin
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_typed)]

MAX_OFFSET = 10_000_000  # SQLite and PostgreSQL know no number beyond 64 bits


class ConnectorOut(Schema):
    """One kind of system that can be connected."""

    type: str
    label: str
    family: str
    version: str
    description: str
    does: list[str]
    events: list[str]
    docs_url: str
    fields: list[dict[str, Any]]


def connector_shown(manifest: Manifest) -> ConnectorOut:
    """Return a connector type as the API shows it."""
    fields: list[dict[str, Any]] = [
        field.model_dump(exclude_defaults=True) | {"label": field.title} for field in manifest.fields
    ]
    return ConnectorOut(
        type=manifest.key,
        fields=fields,
        events=[name for name, _ in event_types.offered_to(manifest)],
        **{name: getattr(manifest, name) for name in ("label", "family", "version", "description", "does", "docs_url")},
    )


class ConnectionIn(Schema):
    """A new connection. ``settings`` holds every field of the connector, secrets included."""

    type: str = Field(max_length=50)
    name: Name
    tenant: Typed | int | None = Field(default=None, description="slug or id; needed only by people of several tenants")
    settings: dict[str, Any] = {}
    events: list[str] = []
    conditions: dict[str, str] = Field(default={}, description="event type → JMESPath over its payload; none: always")
    payloads: dict[str, str] = Field(
        default={}, description="event type → JMESPath that makes what is sent; none: the event's body as it is"
    )
    inbound_actions: list[str] = Field(default=[], description="what it may do here when it calls back")
    is_active: bool = True


class ConnectionChange(Schema):
    """What is to change; settings that are not mentioned stay as they are, null removes one."""

    name: Name | None = None
    settings: dict[str, Any] | None = None
    events: list[str] | None = None
    conditions: dict[str, str] | None = Field(
        default=None, description="of all events; an event type that is not named is sent always"
    )
    payloads: dict[str, str] | None = Field(
        default=None, description="of all events; of an event type that is not named the body is sent as it is"
    )
    inbound_actions: list[str] | None = None
    is_active: bool | None = None


class ConnectionOut(Schema):
    """A connection. Secret settings are shown as dots."""

    id: UUID
    type: str
    name: str
    tenant: str
    version: str
    is_active: bool
    is_enabled: bool
    is_connected: bool
    disabled_reason: str
    settings: dict[str, Any]
    events: list[str]
    conditions: dict[str, str]
    payloads: dict[str, str]
    inbound_actions: list[str]
    last_test_at: datetime | None
    created_at: datetime
    updated_at: datetime


class TestOut(Schema):
    """The answer to "does it work?"."""

    id: UUID
    connected: bool
    message: str
    latency_ms: int
    status: int | None = None


class PushIn(Schema):
    """An order, and how often it may be tried. With ``wait`` false a worker sends it; so it is if too many wait."""

    order: dict[str, Any]
    attempt: int = Field(default=0, ge=0, le=1000, description="another number pushes the same order again")
    max_retries: int = Field(default=3, ge=0, le=5)
    wait: bool = False
    not_before: Annotated[datetime, AfterValidator(_in_our_time)] | None = None


class PushOut(Schema):
    """A row of the push log; `status_url` shows it as it is then."""

    id: str
    status: str
    connector_type: str
    draft_order_id: str
    idempotency_key: str
    error_message: str | None
    retry_count: int
    latency_ms: int
    created_at: datetime
    status_url: str
    note: str = ""


class Problem(Schema):
    """What went wrong, and in which fields."""

    code: str
    message: str
    fields: dict[str, str] = {}
