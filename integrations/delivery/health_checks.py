"""Periodic health checks: does what is configured still work, before an event finds out?

Beat asks which lanes are due and sends one message for each; a lost message costs one check. Only connectors with a
call that changes nothing (`check`) take part. Times are jittered, so that a restart does not make all of them call at
once. A network failure is written down and counts nowhere; refused credentials count as they do for a delivery.
"""

from __future__ import annotations

import logging
import random

from django.db.models import Q
from django.db.models.functions import Now

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.database.times import after
from integrations.errors import IntegrationError, IntegrationNotConnected

from . import run_slot
from .hints import SLOW_QUEUE, is_away, send_hint, together
from .models import Lane
from .sweep import SENDING_SECONDS

TASK = "integrations.tasks.check_connection"
JITTER = 0.2  # part of the period, up or down
AT_ONCE = 500  # claimed by one run; the next run takes the others

logger = logging.getLogger("integrations.delivery")


def request_checks() -> dict[str, int]:
    """Ask workers to check every integration that is due; return how many were due and how many were asked for."""
    period = conf.HEALTH_CHECK_SECONDS
    kinds = [kind.manifest.key for kind in ConnectorRegistry.all() if kind.check_is_offered()]
    if period <= 0 or not kinds:
        return {"due": 0, "asked": 0}
    lanes = Lane.objects.filter(
        integration__integration_type__in=kinds, integration__is_active=True, integration__is_enabled=True
    )
    # A new one, or all of them after an upgrade: somewhere in the coming period.
    for pk in list(lanes.filter(next_check_at=None).values_list("pk", flat=True)[:AT_ONCE]):
        _claim(pk, Q(next_check_at=None), random.random() * period)  # noqa: S311 - spreads load, guards nothing
    due = list(lanes.filter(next_check_at__lte=Now()).order_by("next_check_at").values_list("pk", flat=True)[:AT_ONCE])
    asked = 0
    with together(SENDING_SECONDS):
        for pk in due:
            if is_away():
                break
            spread = 1 + JITTER * (2 * random.random() - 1)  # noqa: S311
            if _claim(pk, Q(next_check_at__lte=Now()), period * spread):  # or it is another scheduler's
                asked += bool(send_hint(TASK, {"integration_id": pk}, SLOW_QUEUE))
    return {"due": len(due), "asked": asked}


def _claim(pk: int, still: Q, seconds: float) -> bool:
    return bool(Lane.objects.filter(still, pk=pk).update(next_check_at=after(seconds)))


def check_one(integration_id: int) -> bool | None:
    """Check one integration; return whether it works, None if it is gone, switched off or not connected yet."""
    integration = TenantIntegration.objects.operational().filter(pk=integration_id).select_related("tenant").first()
    if integration is None:
        return None
    try:
        adapter = integration.get_adapter()
        if not adapter.can_check:
            return None  # these settings leave nothing to ask, e.g. a Slack webhook
        adapter.require_connection()
    except IntegrationNotConnected:
        return None  # a person has to do that; until then there is nothing to ask with
    except IntegrationError:
        pass  # the check below says what is missing
    with run_slot.away():
        result = integration.test_connection()
    if not result.success:
        logger.warning(
            "health check of integration %s failed: %s", integration_id, result.message, extra=integration.log_ids()
        )
    return result.success
