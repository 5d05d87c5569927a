"""The periodic look at all lanes: rows never tried, rows of a dead worker, rows after a broker's flush.

The guarantee behind every promise of "at least once"; hints only make it faster. A lane for which a hint is under
way is left alone for HINT_SECONDS: a sweep costs what is new, not what waits.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import connections, transaction

from integrations.connections.models import TenantIntegration
from integrations.counted import counted
from integrations.telemetry.counters import SWEEPS, SWEPT_LANES

from . import statements
from .hints import together
from .lease import USING
from .models import Lane
from .wakeup import wake, wake_all

logger = logging.getLogger("integrations.delivery")

AT_ONCE = 10_000  # lanes per sweep; the next one takes the others
SENDING_SECONDS = 10.0  # for all hints of one sweep, or of one message that is passed on


def sweep() -> dict[str, int]:
    """Wake every free lane that has something to send; return how many were due and how many could be woken."""
    make_missing_lanes()
    connection = connections[USING]
    with connection.cursor() as cursor:
        cursor.execute(statements.sweep(connection.vendor, AT_ONCE), [])
        due = [(pk, turn, bool(is_slow)) for pk, turn, is_slow in cursor.fetchall()]
    with together(SENDING_SECONDS):
        woken = set(wake_all(due))
    _forget([lane[0] for lane in due if lane not in woken])
    SWEEPS.inc()
    SWEPT_LANES.labels("due").inc(len(due))
    SWEPT_LANES.labels("woken").inc(len(woken))
    if due:
        logger.info("sweep: %s due, %s woken", counted(len(due), "lane"), len(woken))
    return {"due": len(due), "woken": len(woken)}


def pass_on(lanes: Sequence[Sequence[int]]) -> int:
    """Send one hint for each of these lanes (id, turn, is slow); return how many could be sent."""
    with together(SENDING_SECONDS):
        lost = [pk for pk, turn, is_slow in lanes if not wake(pk, turn=turn, is_slow=bool(is_slow))]
    _forget(lost)
    return len(lanes) - len(lost)


def _forget(integration_ids: list[int]) -> None:
    """Take back the mark of lanes whose hint could not be sent: the next sweep asks again."""
    if integration_ids:
        Lane.objects.filter(pk__in=integration_ids).update(hinted_at=None)


def make_missing_lanes() -> None:
    """Give a lane to integrations that came without one (bulk_create, loaddata)."""
    missing = TenantIntegration.objects.filter(lane=None).values_list("pk", flat=True)
    with transaction.atomic():
        Lane.objects.bulk_create((Lane(integration_id=pk) for pk in missing[:1000]), ignore_conflicts=True)
