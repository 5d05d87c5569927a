"""Drain one integration's lane: take the lease, send and settle slice by slice, give it back, look again."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.db import DataError
from django.utils import timezone

from integrations import conf, retry_policy
from integrations.connections.binding import bind
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.errors import IntegrationNotConfigured
from integrations.transport.process_client import client
from integrations.transport.redaction import mask_url

from .circuit_breaker import CircuitBreaker
from .database_clock import after
from .dispatch import Slice, mean_seconds
from .due import any_due, read_due
from .lease import Lease, LeaseLost, extend, release, take
from .models import Lane
from .pacing import Pacer
from .settle import Settlement, settle, settle_without_texts
from .unsendable import cancel_pending
from .wakeup import wake

logger = logging.getLogger("integrations.delivery")

NOT_CONFIGURED_SECONDS = 300.0  # how long a lane rests whose settings cannot be read


@dataclass(slots=True)
class Drained:
    """What one look at a lane did."""

    sent: int = 0
    outcome: str = "empty"


def drain(integration_id: int, *, is_slow_worker: bool = True) -> Drained:
    """Send what is due for one integration, for about DRAIN_SECONDS (SLICE_SECONDS on the slow queue).

    Args:
        is_slow_worker: False on the queue for fast lanes, which hands slow ones over.
    """
    lease = take(integration_id)
    if lease is None:
        return Drained(outcome="busy or paused")
    drained = Drained()
    try:
        give_back_at = time.monotonic() + (conf.SLICE_SECONDS if is_slow_worker else conf.DRAIN_SECONDS)
        while _send_slice(lease, drained, is_slow_worker, give_back_at) and time.monotonic() < give_back_at:
            pass
    except LeaseLost:
        logger.warning("lane %s: the lease was lost; its new holder sends these rows again", integration_id)
        drained.outcome = "lease lost"
        return drained
    release(lease)
    # After the release, never before: a row committed in between would be seen by nobody.
    _look_again(integration_id)
    return drained


def _send_slice(lease: Lease, drained: Drained, is_slow_worker: bool, stop_at: float) -> bool:
    """Send one slice; return True if another may follow at once."""
    # Read anew for each slice: a person may have changed anything, credentials included.
    lane = Lane.objects.select_related("integration").filter(lease.row).first()
    if lane is None:
        raise LeaseLost
    integration = lane.integration
    if not integration.is_active:
        cancel_pending(integration, "the integration is switched off")
        drained.outcome = "inactive"
        return False
    if not integration.is_enabled:
        drained.outcome = "disabled"
        return False
    in_order = integration.ordering == TenantIntegration.Ordering.OBJECT
    breaker = CircuitBreaker(lane.consecutive_failures, lane.times_opened)
    rows = read_due(lane.pk, 1 if breaker.is_probing else conf.SLICE_ROWS, in_order=in_order)
    if not rows:
        return False
    try:
        connector = bind(integration, client())
    except IntegrationNotConfigured as error:
        _rest(lease, error.message)
        drained.outcome = "not configured"
        return False
    if (patience := connector.binding.timeout or 0.0) > conf.TIMEOUT_SECONDS:
        # The lease must outlive the last delivery of the slice, however patient this integration or its kind is.
        extend(lease, conf.LEASE_SECONDS + patience)
    part = Slice(
        connector=connector,
        policy=retry_policy.webhook(integration.max_attempts),
        breaker=breaker,
        pacer=_pacer(integration, lane, connector.manifest),
        width=integration.max_in_flight or conf.MAX_IN_FLIGHT,
        stop_at=stop_at,
        patience=conf.PACE_SECONDS if is_slow_worker else conf.SLOW_SECONDS / 2,
        auth_failures=integration.auth_failure_count,
    )
    try:
        outcomes = part.send(rows, in_order=in_order)
    finally:
        _disconnect(connector)
    mean = mean_seconds(outcomes) if outcomes else (lane.mean_seconds or 0.0)
    is_slow = mean > conf.SLOW_SECONDS or part.slept > conf.SLOW_SECONDS / 2 or part.halted == "paced"
    settlement = Settlement(
        integration=integration,
        target=mask_url(connector.base_url),
        outcomes=outcomes,
        breaker=breaker,
        auth_failures=part.auth_failures,
        mean_seconds=mean,
        is_slow=is_slow,
        wait=part.wait,
        wait_reason=part.wait_reason,
        next_send_in=part.pacer.next_at - time.monotonic() if part.pacer.interval else None,
    )
    try:
        settle(lease, settlement)
    except (DataError, TypeError, ValueError):
        logger.exception("lane %s: what came back cannot be stored as it is", lane.pk)
        settle_without_texts(lease, settlement)
    drained.sent += len(outcomes)
    drained.outcome = part.halted or "sent"
    return not part.halted and (is_slow_worker or not is_slow)


def _disconnect(connector: BaseConnector) -> None:
    """Give back what the slice used; that it fails must not lose what became of the slice, or all goes out again."""
    try:
        connector.disconnect()
    except Exception as error:
        logger.warning("connector %s could not disconnect: %s", connector.name, type(error).__name__)


def _look_again(integration_id: int) -> None:
    lane = Lane.objects.filter(pk=integration_id).values("is_slow", "paused_until").first()
    if lane is None or (lane["paused_until"] and lane["paused_until"] > timezone.now()):
        return
    if TenantIntegration.objects.operational().filter(pk=integration_id).exists() and any_due(integration_id):
        wake(integration_id, is_slow=lane["is_slow"])


def _rest(lease: Lease, reason: str) -> None:
    """Park a lane that cannot be sent until a person mends it; no row loses an attempt."""
    logger.error("lane %s cannot be sent: %s", lease.integration_id, reason)
    Lane.objects.filter(lease.row).update(
        attention=reason[:500], paused_until=after(NOT_CONFIGURED_SECONDS), pause_reason=reason[:200]
    )


def _pacer(integration: TenantIntegration, lane: Lane, manifest: Manifest) -> Pacer:
    """The integration's own limit, or else the one that the provider's documentation states."""
    limit = manifest.rate_limit
    per_minute = integration.rate_limit_per_minute or (limit.per_minute if limit else None)
    now = time.monotonic()
    wait = (lane.next_send_at - timezone.now()).total_seconds() if lane.next_send_at else 0.0
    return Pacer(60 / per_minute if per_minute else 0.0, now + max(0.0, wait), time.monotonic)
