"""Forget figures that are old: minutes after days, hours after weeks, days after 13 months."""

from __future__ import annotations

from django.db import connections

from integrations import conf

from .models import DAY, HOUR, MINUTE, RollUp
from .rolling import INTEGRATION, OF_ALL, OF_INTEGRATIONS, OF_TENANTS, USING, minute_now

BATCH = 5000


def purge_figures() -> int:
    """Delete figures that are older than FIGURES_MINUTE_DAYS, …HOUR_DAYS and …DAY_DAYS, in batches; return how many.

    What is not summed up yet stays, however old.
    """
    now = minute_now()
    rolled = dict(RollUp.objects.using(USING).values_list("name", "until"))
    ends = (
        (MINUTE, min(now - conf.FIGURES_MINUTE_DAYS * DAY, rolled.get("hours", 0))),
        (HOUR, min(now - conf.FIGURES_HOUR_DAYS * DAY, rolled.get("days", 0))),
        (DAY, now - conf.FIGURES_DAY_DAYS * DAY),
    )
    tables = (OF_INTEGRATIONS, OF_TENANTS, OF_ALL)
    count = sum(
        _delete(table, "f.resolution = %s AND f.start < %s", [resolution, end])
        for table in tables
        for resolution, end in ends
    )
    # Of integrations that were deleted while they were summed up.
    orphaned = f"NOT EXISTS (SELECT 1 FROM {INTEGRATION} i WHERE i.id = f.integration_id)"  # noqa: S608 - our names
    for resolution, recent in ((MINUTE, HOUR), (HOUR, 3 * HOUR), (DAY, 3 * DAY)):
        since = [resolution, now - recent]
        count += _delete(OF_INTEGRATIONS, f"f.resolution = %s AND f.start >= %s AND {orphaned}", since)
    return count


def _delete(table: str, condition: str, parameters: list[int]) -> int:
    count = 0
    with connections[USING].cursor() as cursor:
        while True:
            cursor.execute(
                f"DELETE FROM {table} WHERE id IN "  # noqa: S608 - our own names
                f"(SELECT f.id FROM {table} f WHERE {condition} ORDER BY f.start LIMIT {BATCH})",
                parameters,
            )
            count += cursor.rowcount
            if cursor.rowcount < BATCH:
                return count
