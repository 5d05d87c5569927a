"""Sum up what settling wrote: integrations to tenants and to the whole, minutes to hours, hours to days.

A stretch is summed up once, when it is over and those who settled in it have committed; how far that is stands in
`RollUp`, written in the same transaction. Where it has not been done yet (beat was away), reading sums up by itself.
"""

from __future__ import annotations

from django.db import connections, transaction

from integrations.connections.models import TenantIntegration

from .figures import COLUMNS
from .models import DAY, HOUR, MINUTE, IntegrationFigures, RollUp, Stretch, TenantFigures, TotalFigures
from .writing import LISTED, this_minute

USING = "default"
GRACE = 2  # minutes until those who settled in a minute have committed
AT_ONCE = 60  # minutes of all integrations in one transaction

INTEGRATION = TenantIntegration._meta.db_table
OF_INTEGRATIONS, OF_TENANTS, OF_ALL = (
    model._meta.db_table for model in (IntegrationFigures, TenantFigures, TotalFigures)
)
_KEYS = {OF_INTEGRATIONS: "integration_id, ", OF_TENANTS: "tenant_id, ", OF_ALL: ""}
_REPLACED = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
SUMMED = ", ".join(f"sum(f.{name}) AS {name}" for name in COLUMNS)


def roll_up() -> dict[str, int]:
    """Sum up what is over; return how many stretches of each kind were."""
    return {
        "minutes": _go_on("tenants", IntegrationFigures, MINUTE, minute_now() - GRACE),
        "hours": _go_on("hours", TotalFigures, HOUR, _until("tenants")),
        "days": _go_on("days", TotalFigures, DAY, _until("hours")),
    }


def minute_now() -> int:
    """Return the minute that is running, by the database's clock."""
    with connections[USING].cursor() as cursor:
        cursor.execute(f"SELECT {this_minute(connections[USING].vendor)}", [])
        return int(cursor.fetchone()[0])


def _until(name: str) -> int:
    return RollUp.objects.using(USING).filter(pk=name).values_list("until", flat=True).first() or 0


def _go_on(name: str, source: type[Stretch], resolution: int, end: int) -> int:
    """Sum up what `source` has before `end`, stretch after stretch; return how many there were."""
    RollUp.objects.using(USING).bulk_create([RollUp(name=name, until=0)], ignore_conflicts=True)
    count = 0
    while (done := _step(name, source, resolution, end)) is not None:
        count += done
    return count


def _step(name: str, source: type[Stretch], resolution: int, end: int) -> int | None:
    """Sum up one hour's minutes, one hour or one day; None: there is nothing left. Who else does it waits."""
    finer = {MINUTE: MINUTE, HOUR: MINUTE, DAY: HOUR}[resolution]
    with transaction.atomic(using=USING):
        row = RollUp.objects.using(USING).select_for_update().get(pk=name)
        waiting = source._base_manager.using(USING).filter(resolution=finer, start__gte=row.until, start__lt=end)
        first = waiting.order_by("start").values_list("start", flat=True).first()
        start = max(row.until, (end if first is None else first) // resolution * resolution)
        upto = min(start + AT_ONCE, end) if resolution == MINUTE else start + resolution
        is_over = first is not None and upto <= end
        if is_over and resolution == MINUTE:
            _to_tenants(start, upto)
        elif is_over:
            _to_longer(start, resolution, finer)
        row.until = upto if is_over else start
        row.save(using=USING)
        return (upto - start) // resolution if is_over else None


def _to_tenants(start: int, end: int) -> None:
    """Sum up the minutes of integrations, first for tenants, then for all."""
    within = [MINUTE, start, end]
    with connections[USING].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {OF_TENANTS} (tenant_id, resolution, start, {LISTED}) "  # noqa: S608 - our own names
            f"SELECT i.tenant_id, {MINUTE}, f.start, {SUMMED} FROM {OF_INTEGRATIONS} f "
            f"JOIN {INTEGRATION} i ON i.id = f.integration_id "
            "WHERE f.resolution = %s AND f.start >= %s AND f.start < %s GROUP BY i.tenant_id, f.start "
            f"ON CONFLICT (tenant_id, resolution, start) DO UPDATE SET {_REPLACED}",
            within,
        )
        cursor.execute(
            f"INSERT INTO {OF_ALL} (resolution, start, {LISTED}) "  # noqa: S608
            f"SELECT {MINUTE}, f.start, {SUMMED} FROM {OF_TENANTS} f "
            "WHERE f.resolution = %s AND f.start >= %s AND f.start < %s GROUP BY f.start "
            f"ON CONFLICT (resolution, start) DO UPDATE SET {_REPLACED}",
            within,
        )


def _to_longer(start: int, resolution: int, finer: int) -> None:
    """Sum up one hour from its minutes, or one day from its hours, of every integration, every tenant and all."""
    with connections[USING].cursor() as cursor:
        for table, key in _KEYS.items():
            cursor.execute(
                f"INSERT INTO {table} ({key}resolution, start, {LISTED}) "  # noqa: S608 - our own names
                f"SELECT {key and 'f.' + key}{resolution}, {start}, {SUMMED} FROM {table} f "
                f"WHERE f.resolution = {finer} AND f.start >= {start} AND f.start < {start + resolution} "
                f"{'GROUP BY f.' + key.rstrip(', ') if key else 'HAVING count(*) > 0'} "
                f"ON CONFLICT ({key}resolution, start) DO UPDATE SET {_REPLACED}"
            )
