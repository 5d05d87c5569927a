"""One turn with a lane that we hold: read rows, send them, settle. A worker's slice and a push are both one of these.

In: the lease, a way to read rows, a retry policy and how long it may take. Out: what came of it. The database is not
touched while sending. Errors: LeaseLost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DataError
from django.utils import timezone

from integrations import conf
from integrations.connections.binding import bind
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.database_clock import after
from integrations.errors import IntegrationNotConfigured
from integrations.retry_policy import RetryPolicy
from integrations.transport.process_client import client
from integrations.transport.redaction import mask_url

from .circuit_breaker import CircuitBreaker
from .dispatch import Slice, mean_seconds
from .due import DueRow, any_due
from .lease import Lease, LeaseLost, extend, release
from .models import Lane
from .outcome import Outcome
from .pacing import Pacer
from .settle import Settlement, settle, settle_without_texts
from .unsendable import cancel_pending
from .wakeup import wake

logger = logging.getLogger("integrations.delivery")

NOT_CONFIGURED_SECONDS = 300.0  # how long a lane rests whose settings cannot be read

ReadRows = Callable[[int, int, bool], list[DueRow]]  # lane, limit, in order


@dataclass(slots=True)
class Turn:
    """What one turn came to.

    Attributes:
        state: ``sent``, ``empty``, ``inactive``, ``disabled``, ``not configured``, or why it halted (Slice.halted).
        reason: the same in words, where a person has to do something about it.
        rest: seconds that the lane rests now.
        may_go_on: nothing says that the next slice should not be sent at once.
    """

    state: str
    reason: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    rest: float = 0.0
    is_slow: bool = False
    may_go_on: bool = False


def take_turn(
    lease: Lease,
    read_rows: ReadRows,
    policy_for: Callable[[TenantIntegration], RetryPolicy],
    *,
    stop_at: float,
    patience: float,
) -> Turn:
    """Send what `read_rows` finds, and settle it.

    Args:
        stop_at: time.monotonic() after which no further request is started.
        patience: the longest wait, in seconds, for the rate limit's next turn.

    Raises:
        LeaseLost: the lane is no longer ours; what was sent is sent again by its new holder.
    """
    # Read anew for each turn: a person may have changed anything, credentials included.
    lane = Lane.objects.select_related("integration").filter(lease.row).first()
    if lane is None:
        raise LeaseLost
    integration = lane.integration
    if not integration.is_active:
        cancel_pending(integration, "the integration is switched off")
        return Turn("inactive", "the integration is switched off")
    if not integration.is_enabled:
        return Turn("disabled", integration.disabled_reason or "the integration is disabled")
    in_order = integration.ordering == TenantIntegration.Ordering.OBJECT
    breaker = CircuitBreaker(lane.consecutive_failures, lane.times_opened)
    rows = read_rows(lane.pk, 1 if breaker.is_probing else conf.SLICE_ROWS, in_order)
    if not rows:
        return Turn("empty")
    try:
        connector = bind(integration, client())
    except IntegrationNotConfigured as error:
        _park(lease, error.message)
        return Turn("not configured", error.message)
    longest = connector.binding.timeout or 0.0
    if longest > conf.TIMEOUT_SECONDS:
        # The lease must outlive the last request of the slice, however patient this integration is.
        extend(lease, conf.LEASE_SECONDS + longest)
    part = Slice(
        connector=connector,
        policy=policy_for(integration),
        breaker=breaker,
        pacer=_pacer(integration, lane, connector.manifest),
        width=integration.max_in_flight or conf.MAX_IN_FLIGHT,
        stop_at=stop_at,
        patience=patience,
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
    return Turn(
        state=part.halted or "sent",
        reason=part.wait_reason,
        outcomes=outcomes,
        rest=max(part.wait or 0.0, breaker.pause or 0.0),
        is_slow=is_slow,
        may_go_on=not part.halted,
    )


def give_back(lease: Lease) -> None:
    """Release the lane, and wake it if it has something to send.

    The look comes after the release, never before: a row committed in between would be seen by nobody.
    """
    release(lease)
    lane = Lane.objects.filter(pk=lease.integration_id).values("is_slow", "paused_until").first()
    if lane is None or (lane["paused_until"] and lane["paused_until"] > timezone.now()):
        return
    is_on = TenantIntegration.objects.operational().filter(pk=lease.integration_id).exists()
    if is_on and any_due(lease.integration_id):
        wake(lease.integration_id, is_slow=lane["is_slow"])


def _disconnect(connector: BaseConnector) -> None:
    """Give back what the slice used; that it fails must not lose what became of the slice, or all goes out again."""
    try:
        connector.disconnect()
    except Exception as error:
        logger.warning("connector %s could not disconnect: %s", connector.name, type(error).__name__)


def _park(lease: Lease, reason: str) -> None:
    """Let a lane rest that cannot be sent until a person mends it; no row loses an attempt."""
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
