"""Drain one integration's lane: take the lease, send and settle slice by slice, give it back, look again."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.db import connections

from integrations import conf, retry_policy
from integrations.connections.models import TenantIntegration
from integrations.connectors.manifest import Manifest
from integrations.database.leases import LeaseLost

from . import statements
from .lease import USING, Lease, release, take
from .models import Lane
from .slice import read_due, send_slice
from .wakeup import wake

logger = logging.getLogger("integrations.delivery")


@dataclass(slots=True)
class Drained:
    """What one look at a lane did."""

    sent: int = 0
    outcome: str = "empty"


def drain(integration_id: int, *, turn: int | None = None, is_slow_worker: bool = True) -> Drained:
    """Send what is due for one integration, for about DRAIN_SECONDS (SLICE_SECONDS on the slow queue).

    Args:
        turn: the turn of the lane that a hint asks for; None: whichever comes.
        is_slow_worker: False on the queue for fast lanes, which hands slow ones over.
    """
    lease = take(integration_id, turn)
    if lease is None:
        return Drained(outcome="busy or paused")
    drained = Drained()
    try:
        give_back_at = time.monotonic() + (conf.SLICE_SECONDS if is_slow_worker else conf.DRAIN_SECONDS)
        while _send_slice(lease, drained, is_slow_worker, give_back_at) and time.monotonic() < give_back_at:
            pass
    except LeaseLost:
        lost = "lane %s: the lease was lost; its new holder sends these rows again"
        logger.warning(lost, integration_id, extra=lease.integration.log_ids())
        drained.outcome = "lease lost"
        return drained
    except BaseException:
        release(lease)  # without a look: what raises every time would wake itself for ever; the sweep brings it back
        raise
    give_back(lease)
    return drained


def give_back(lease: Lease) -> None:
    """Release the lane, and wake it if it has something to send.

    The look comes after the release, never before: a row committed in between would be seen by nobody. It asks for the
    same rows as a turn reads.
    """
    release(lease)
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.look(connections[USING].vendor), [lease.integration_id])
        found = cursor.fetchone()
    if found is not None and not wake(lease.integration_id, turn=found[0], is_slow=bool(found[1])):
        # A mark without a hint would keep everybody else silent until it is old.
        Lane.objects.filter(pk=lease.integration_id, turn=found[0]).update(hinted_at=None)


def _send_slice(lease: Lease, drained: Drained, is_slow_worker: bool, stop_at: float) -> bool:
    """Send one slice; return True if another may follow at once."""
    ended = send_slice(
        lease,
        read_due,
        _policy_for,
        stop_at=stop_at,
        patience=conf.PACE_SECONDS if is_slow_worker else conf.SLOW_SECONDS / 2,
        gives_back=True,
    )
    if ended.state == "empty":
        return False
    drained.sent += len(ended.outcomes)
    drained.outcome = ended.state
    rests = (lease.state.rests or 0.0) > 0
    return lease.is_held and ended.may_go_on and not rests and (is_slow_worker or not ended.is_slow)


def _policy_for(integration: TenantIntegration, manifest: Manifest) -> retry_policy.RetryPolicy:
    return retry_policy.webhook(integration.max_attempts, repeats_answers=manifest.repeats_answers)
