"""Why does nothing arrive? All that stops or delays an integration's deliveries, or needs a person, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from integrations import conf
from integrations.connections import event_types
from integrations.connections.binding import bind
from integrations.connections.conditions import validate_condition
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.signing_keys import has_unseen_secret
from integrations.connectors.base import BaseConnector
from integrations.connectors.registry import ConnectorRegistry
from integrations.database import clock
from integrations.errors import EncryptionError, IntegrationNotConfigured, UnknownConnector
from integrations.observability.heartbeat import is_alive
from integrations.outbox.models import IntegrationSync
from integrations.tenancy.tenant import name_of

from .rule import Facts, Health, State

# States whose own words already say why nothing is sent.
_SAID = (State.DELETING, State.OFF, State.DISABLED, State.NOT_CONNECTED, State.PAUSED, State.ATTENTION, State.NO_EVENTS)


class Explanation(NamedTuple):
    """One sentence; `kind`: info, warn or bad."""

    kind: Literal["info", "warn", "bad"]
    text: str


@dataclass(frozen=True, slots=True)
class Explained:
    """What explanations are made of, beside the health.

    Attributes:
        next_pending: the pending row whose time comes, or came, first.
        has_syncs: it was ever owed anything.
    """

    integration: TenantIntegration
    facts: Facts
    health: Health
    subscriptions: list[EventSubscription]
    next_pending: IntegrationSync | None
    has_syncs: bool


def explanations(of: Explained) -> Iterator[Explanation]:
    """Yield what stops or delays deliveries, or needs a person; `health.why` and what to do about it come first."""
    integration, health = of.integration, of.health
    if health.state in _SAID or health.is_failing or health.is_partial:
        kind: Literal["warn", "bad"] = "bad" if health.kind == "bad" else "warn"
        yield Explanation(kind, f"{health.why} {health.what_to_do}".strip())
    elif health.state is State.RESTING:
        yield Explanation(
            "warn",
            _("Deliveries rest: {why} No attempt is lost meanwhile. {what_to_do}").format(
                why=health.why, what_to_do=health.what_to_do
            ),
        )
    if health.state is State.DELETING:
        return
    yield from _incomplete(of)
    if of.facts.takes_events and of.subscriptions and not of.has_syncs and health.state is State.NEVER_TRIED:
        types = ", ".join(subscription.event_type for subscription in of.subscriptions)
        tenant = name_of(integration.tenant)
        yield Explanation(
            "info",
            _(
                "Nothing was sent yet: since it was set up, nothing of {tenant} brought about {types}. Changes "
                "to other tenants' objects are never sent here."
            ).format(tenant=tenant, types=types),
        )
    connector = _connector(integration)
    for subscription in of.subscriptions:
        if subscription.condition:
            yield Explanation(
                "info",
                _("{event_type} is sent only if {condition}").format(
                    event_type=subscription.event_type, condition=subscription.condition
                ),
            )
            yield from _never_met(subscription)
        yield from _not_made(subscription)
        yield from _cannot_take(subscription, connector)
    if _is_waiting_for_a_worker(of):
        yield Explanation(
            "bad", _("Deliveries are due, but no worker was seen for a while: is celery -A app worker running?")
        )
    if has_new_secret(integration):
        yield Explanation(
            "warn",
            _(
                "A new signing secret was made by schedule. Show it and give it to the receiver: the old one "
                "signs beside it until {hours:g} hours after that."
            ).format(hours=conf.ROTATION_OVERLAP_SECONDS / 3600),
        )
    if (age := integration.overdue_days) is not None:
        words = _("The credentials are {age} days old; change them every {days} days.").format(
            age=age, days=conf.ROTATE_EVERY_DAYS
        )
        yield Explanation("warn", words)


def has_new_secret(integration: TenantIntegration) -> bool:
    """Tell whether a signing secret was made by the schedule, and waits for a person to see it."""
    try:
        return has_unseen_secret(integration)
    except EncryptionError:
        return False


def _incomplete(of: Explained) -> Iterator[Explanation]:
    integration = of.integration
    try:
        for name in ("webhook_url", "headers", "credentials"):
            getattr(integration, name)
    except EncryptionError as error:
        yield Explanation("bad", _("A stored secret cannot be opened: {message}").format(message=error.message))
        return
    try:
        bind(integration)
    except UnknownConnector:
        return  # the health says so
    except IntegrationNotConfigured as error:
        words = _("Nothing can be sent") if of.facts.takes_events else _("It cannot be used")
        yield Explanation("bad", f"{words}: {error.message}")


def _never_met(subscription: EventSubscription) -> Iterator[Explanation]:
    """Say what is wrong with a condition that came another way than through the form, or before it was checked."""
    try:
        validate_condition(subscription.condition, subscription.event_type, subscription.payload_version)
    except ValidationError as error:
        words = _("The condition of {event_type} needs a look: {problems}").format(
            event_type=subscription.event_type, problems=" ".join(error.messages)
        )
        yield Explanation("warn", words)


def _not_made(subscription: EventSubscription) -> Iterator[Explanation]:
    """Say that the version of the payload that it has is not made any more."""
    event_type, version = subscription.event_type, subscription.payload_version
    if version not in event_types.versions(event_type):
        instead = event_types.nearest_version(event_type, version)
        words = _(
            "Version {version} of the payload of {event_type} is not made any more, so version {instead} is sent. "
            "Choose one under Events."
        )
        yield Explanation("warn", words.format(version=version, event_type=event_type, instead=instead))


def _cannot_take(subscription: EventSubscription, connector: type[BaseConnector] | None) -> Iterator[Explanation]:
    if connector is None or subscription.event_type not in dict(event_types.choices()):
        return
    if subscription.event_type not in dict(event_types.offered_to(connector.manifest)):
        yield Explanation(
            "warn",
            _("{refusal}. Untick it.").format(refusal=event_types.refusal(subscription.event_type, connector.manifest)),
        )


def _connector(integration: TenantIntegration) -> type[BaseConnector] | None:
    try:
        return ConnectorRegistry.type_of(integration.integration_type)
    except IntegrationNotConfigured:
        return None


def _is_waiting_for_a_worker(of: Explained) -> bool:
    row = of.next_pending
    is_open = of.integration.is_enabled and of.facts.paused_since is None and of.health.until is None
    if row is None or not is_open:
        return False
    overdue = clock.now() - timedelta(seconds=conf.HEARTBEAT_STALE_SECONDS)
    return row.next_attempt_at < overdue and not is_alive("worker")
