"""Send one row while somebody waits for it: take the lane, try, wait a little, try again, give the lane back.

In: a pending row and a brisk retry policy. Out: "" if the row is settled, else why it is left to the lane: its workers
then send it like any other row, with their longer patience. Nothing depends on this process: if it dies, its lease
ends and the sweep finds the row.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from integrations import conf
from integrations.database.leases import LeaseLost
from integrations.database.times import after
from integrations.errors import IntegrationTemporaryError
from integrations.outbox.models import IntegrationSync
from integrations.retry_policy import RetryPolicy
from integrations.transport.deadline import within

from .drain import SliceResult, give_back, send_slice
from .lease import Lease, release, take
from .models import Lane
from .wakeup import wake_idle

logger = logging.getLogger("integrations.delivery")

LANE_SECONDS = 5.0  # how long somebody waits for a lane that another sender holds
POLL_SECONDS = 0.05
LEAST_SECONDS = 3.0  # an attempt with less time would time out at a destination that is only slow


def not_before_us() -> Any:
    """When a row is due that its maker means to send at once: late enough that no worker takes it first."""
    return after(2 * LANE_SECONDS)


def send_now(
    integration_id: int,
    sync_id: int,
    policy: RetryPolicy,
    *,
    max_wait: float = math.inf,
    sleep: Callable[[float], Any] = time.sleep,
) -> str:
    """Try the row `sync_id` until it is settled or `policy` gives up.

    Args:
        max_wait: seconds after which the lane has it, however it is: attempts are cut short by it, and none but the
            first is begun with less than LEAST_SECONDS left.
        sleep: waits between two attempts; for tests.

    Returns:
        "" when there is nothing left to do, else the reason, for people, why the lane has the row now.
    """
    ends_at = time.monotonic() + max_wait
    lease, reason = _take_in_time(integration_id, ends_at)
    if lease is not None:
        try:
            with within(ends_at - time.monotonic()):
                reason = _try_until_settled(lease, sync_id, policy, sleep, ends_at)
        except LeaseLost:
            ids = {**lease.integration.log_ids(), "sync_id": sync_id}
            lost = "lane %s: the lease was lost; its new holder sends row %s again"
            logger.warning(lost, integration_id, sync_id, extra=ids)
            return "another sender has taken the lane"
        except BaseException:
            release(lease)
            raise
    if reason:  # a row that was tried is due when its error says; one that never was, now
        _pending(sync_id).filter(attempts=0).update(next_attempt_at=Now())
    if lease is not None:
        give_back(lease)
    elif reason:
        wake_idle([integration_id])
    return reason


def _take_in_time(integration_id: int, ends_at: float) -> tuple[Lease | None, str]:
    deadline = min(time.monotonic() + LANE_SECONDS, ends_at)
    while (lease := take(integration_id)) is None:
        paused = ExpressionWrapper(Q(paused_until__gt=Now()), output_field=BooleanField())
        lane = Lane.objects.filter(pk=integration_id).values_list(paused, "pause_reason", "deleting_since").first()
        if lane is None or lane[2]:
            return None, "the integration has no lane yet" if lane is None else "the integration is being deleted"
        if lane[0]:
            return None, f"the lane is paused: {lane[1] or 'it failed before'}"
        if time.monotonic() > deadline:
            return None, "another sender has the lane"
        time.sleep(POLL_SECONDS)
    return lease, ""


def _try_until_settled(
    lease: Lease, sync_id: int, policy: RetryPolicy, sleep: Callable[[float], Any], ends_at: float
) -> str:
    while True:
        patience = max(0.0, min(conf.PACE_SECONDS, ends_at - time.monotonic()))
        until = time.monotonic() + patience + 1
        ended = send_slice(lease, stop_at=until, patience=patience, push=(sync_id, policy))
        if not ended.outcomes:
            return _why_not(ended) if _pending(sync_id).exists() else ""
        (result,) = ended.outcomes
        if result.is_final:
            return ""
        problem = result.error.message if result.error else ended.state
        wait = max(ended.rest, result.retry_in or 0.0)
        planned = policy.delay(result.attempt, IntegrationTemporaryError(), 0.0) or 0.0
        if wait > max(planned, conf.HTTP_WAIT_CAP_SECONDS):  # longer than anybody was asked to wait
            return f"{problem}; the lane tries again"
        if time.monotonic() + wait + LEAST_SECONDS > ends_at:
            return f"{problem}; waiting longer was not asked for"
        lease.renew(seconds=conf.LEASE_SECONDS + wait)
        sleep(wait)
        lease.renew()  # whoever has paused, switched off or deleted it meanwhile is obeyed


def _why_not(ended: SliceResult) -> str:
    """Say why the row was not even tried."""
    if ended.state == "empty":
        return "an earlier one of the same object must go first"
    if ended.state == "paced":
        return "the integration's own rate limit is reached"
    return ended.reason or ended.state


def _pending(sync_id: int) -> QuerySet[IntegrationSync]:
    return IntegrationSync.objects.filter(pk=sync_id, status=IntegrationSync.Status.PENDING)
