"""What an operator wants to know of an integration: does it work, and if nothing was sent, why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Max
from django.utils.html import format_html

from integrations import conf
from integrations.clock import now as clock_now
from integrations.connections import event_types
from integrations.connections.authorization import awaits_connection
from integrations.connections.binding import bind
from integrations.connections.conditions import validate_condition
from integrations.connections.credentials_age import overdue_days
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.signing_keys import has_unseen_secret, old_key_until
from integrations.counted import count_up_to
from integrations.delivery.models import Lane
from integrations.display import NOTHING, Badge, clock, exact, when
from integrations.errors import EncryptionError, IntegrationNotConfigured, UnknownConnector
from integrations.forms.choice import connector_of
from integrations.health.reading import facts_of
from integrations.health.rule import Health, judge
from integrations.observability.heartbeat import is_alive
from integrations.outbox.models import IntegrationSync

from .oauth_connect import GrantState

COUNTED = 1000


def badge_of(health: Health) -> Badge:
    """Return the state of an integration in one word."""
    hint = f"{health.why} {health.what_to_do}".strip()
    if health.since is not None:
        hint = f"Since {exact(health.since)}. {hint}"
    if health.until is not None:
        hint = f"{hint} Until {clock(health.until)}."
    return Badge(health.kind, health.label, hint)


def is_being_deleted(integration: TenantIntegration | None) -> bool:
    """Tell whether somebody deleted it and its rows are still on their way out; needs its lane joined."""
    lane: Lane | None = getattr(integration, "lane", None)
    return lane is not None and lane.deleting_since is not None


def _is_for_events(integration: TenantIntegration) -> bool:
    """False: what it gets are orders that are pushed, whether an event type is ticked or not."""
    connector = connector_of(integration.integration_type)
    return connector is None or "deliver" in connector.manifest.does


def rotation_badge(integration: TenantIntegration) -> Badge | None:
    """Return an amber badge for credentials that are due to be changed."""
    days = overdue_days(integration)
    if days is None:
        return None
    return Badge(
        "warn", "⚠ Rotate", f"The credentials are {days} days old; change them every {conf.ROTATE_EVERY_DAYS} days."
    )


@dataclass
class Panel:
    """The status panel of one integration; every query behind it is bounded."""

    integration: TenantIntegration

    def __post_init__(self) -> None:
        self.lane: Lane = getattr(self.integration, "lane", None) or Lane()
        self.subscriptions = list(self.integration.subscriptions.order_by("id"))
        facts = facts_of([self.integration])[self.integration.pk]
        self.takes_events = facts.takes_events
        self.grant = GrantState(self.integration)
        self.health = judge(facts, clock_now())
        self.badge = badge_of(self.health)
        rows = self.integration.syncs.order_by("-id")
        pending = rows.filter(status=IntegrationSync.Status.PENDING).order_by("next_attempt_at", "id")
        self.pending = count_up_to(pending, COUNTED)
        self.next_pending = pending.first()
        self.has_syncs = self.pending != "0" or rows.exists()

    @property
    def is_paused(self) -> bool:
        return bool(self.lane.paused_until and self.lane.paused_until > clock_now())

    @property
    def can_resume(self) -> bool:
        """There is something to reset: a pause, an open breaker or a note for people."""
        lane = self.lane
        return bool(
            self.integration.is_enabled and (self.is_paused or lane.breaker == Lane.Breaker.OPEN or lane.attention)
        )

    @property
    def pause(self) -> str:
        """Why and until when the lane rests."""
        lane = self.lane
        if self.is_paused:
            return f"{lane.pause_reason or 'paused'}, until {clock(lane.paused_until)}"  # type: ignore[arg-type]
        return "open: the next request is a probe" if lane.breaker == Lane.Breaker.OPEN else ""

    @property
    def does(self) -> tuple[str, ...]:
        """What the connector can do; nothing if it is not installed (any more)."""
        connector = connector_of(self.integration.integration_type)
        return connector.manifest.does if connector is not None else ()

    @property
    def reads(self) -> bool:
        return "read" in self.does

    @property
    def signs(self) -> bool:
        connector = connector_of(self.integration.integration_type)
        return connector is not None and connector.manifest.signs

    @property
    def last_success(self) -> Any:
        return when(self.lane.last_success_at)

    @property
    def last_failure(self) -> Any:
        return when(self.lane.last_failure_at)

    @property
    def last_pull(self) -> Any:
        return when(self.integration.sync_states.aggregate(last=Max("last_sync_at"))["last"])

    @property
    def next_due(self) -> Any:
        return when(self.next_pending.next_attempt_at) if self.next_pending else NOTHING

    @property
    def oldest(self) -> Any:
        return when(self.next_pending.created_at) if self.next_pending else NOTHING

    @property
    def credentials_changed(self) -> Any:
        return format_html(
            "{} {}", when(self.integration.credentials_rotated_at), rotation_badge(self.integration) or ""
        )

    @property
    def last_test(self) -> Any:
        """When a test last passed, and whether the last one did."""
        passed, is_connected = self.integration.last_test_at, self.integration.is_connected
        if passed is None:
            return "passed" if is_connected else "none yet"
        return when(passed) if is_connected else format_html("{}, not since", when(passed))

    @property
    def has_new_secret(self) -> bool:
        """True: a signing secret was made by the schedule, and waits for a person to see it."""
        try:
            return has_unseen_secret(self.integration)
        except EncryptionError:
            return False

    @property
    def signing(self) -> str:
        """How requests are signed; never a key."""
        try:
            keys: list[dict[str, Any]] = self.integration.credentials.get("signing_keys") or []
        except EncryptionError:
            return "the stored keys cannot be opened"
        if not self.integration.is_signed:
            return "off"
        if not keys:
            return "on, but there is no key yet: rotate the secret to make one"
        until = old_key_until(keys)
        return f"on; the previous secret signs too until {exact(until)}" if until else "on"

    def explanations(self) -> Iterator[tuple[str, str]]:
        """Yield (kind, sentence) for all that stops or delays deliveries, or needs a person."""
        integration, lane = self.integration, self.lane
        if is_being_deleted(integration):
            yield "warn", f"It is {lane.attention}. Nothing is recorded for it or sent any more."
            return
        try:
            _ = integration.webhook_url, integration.headers, integration.credentials
        except EncryptionError as error:
            yield "bad", f"A stored secret cannot be opened: {error.message}"
        else:
            yield from self._incomplete()
        if is_awaited := awaits_connection(integration):
            yield "warn", "It is not connected yet: press Connect and agree at the provider. Until then events wait."
        if not integration.is_active:
            nothing = "Nothing is sent: the" if self.takes_events else "The"
            yield "warn", f"{nothing} tenant switched this integration off (Active is not ticked)."
        if not integration.is_enabled:
            yield (
                "bad",
                integration.disabled_reason or "The integration is disabled: nothing is sent or pulled.",
            )
        if lane.attention and not is_awaited:
            yield "bad", lane.attention
        if integration.is_enabled and self.pause:
            yield "warn", f"Deliveries rest ({self.pause}). No attempt is lost meanwhile."
        if not self.takes_events:
            pass
        elif not self.subscriptions:
            if _is_for_events(integration):
                yield "warn", "Nothing is sent: no event type is ticked."
        elif not self.has_syncs:
            types = ", ".join(subscription.event_type for subscription in self.subscriptions)
            yield (
                "info",
                f"Nothing was sent yet: since it was set up, nothing of {integration.tenant} brought about {types}. "
                "Changes to other tenants' objects are never sent here.",
            )
        for subscription in self.subscriptions:
            if subscription.condition:
                yield "info", f"{subscription.event_type} is sent only if {subscription.condition}"
                yield from self._never_met(subscription)
            yield from self._cannot_take(subscription)
        if self._is_waiting_for_a_worker():
            yield "bad", "Deliveries are due, but no worker was seen for a while: is celery -A app worker running?"
        if self.has_new_secret:
            yield (
                "warn",
                "A new signing secret was made by schedule. Show it and give it to the receiver: the old one signs "
                f"beside it until {conf.ROTATION_OVERLAP_SECONDS / 3600:g} hours after that.",
            )
        age = overdue_days(integration)
        if age is not None:
            yield "warn", f"The credentials are {age} days old; change them every {conf.ROTATE_EVERY_DAYS} days."

    def _incomplete(self) -> Iterator[tuple[str, str]]:
        try:
            bind(self.integration)
        except UnknownConnector:
            yield (
                "bad",
                f"It cannot be used: no connector called {self.integration.integration_type} is installed. What is "
                "configured is kept.",
            )
        except IntegrationNotConfigured as error:
            words = "Nothing can be sent" if self.takes_events else "It cannot be used"
            yield "bad", f"{words}: {error.message}"

    def _never_met(self, subscription: EventSubscription) -> Iterator[tuple[str, str]]:
        """Say what is wrong with a condition that came another way than through the form, or before it was checked."""
        try:
            validate_condition(subscription.condition, subscription.event_type)
        except ValidationError as error:
            yield "warn", f"The condition of {subscription.event_type} needs a look: {' '.join(error.messages)}"

    def _cannot_take(self, subscription: EventSubscription) -> Iterator[tuple[str, str]]:
        connector = connector_of(self.integration.integration_type)
        if connector is None or subscription.event_type not in dict(event_types.choices()):
            return
        if subscription.event_type not in dict(event_types.offered_to(connector.manifest)):
            yield "warn", f"{event_types.refusal(subscription.event_type, connector.manifest)}. Untick it."

    def _is_waiting_for_a_worker(self) -> bool:
        row = self.next_pending
        if row is None or not self.integration.is_enabled or self.is_paused:
            return False
        overdue = clock_now() - timedelta(seconds=conf.HEARTBEAT_STALE_SECONDS)
        return row.next_attempt_at < overdue and not is_alive("worker")
