"""What is old enough to be forgotten, page by page. Whose rows they are says what of a page is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import AutoField, BigAutoField, BooleanField, ExpressionWrapper, Q, QuerySet, SmallAutoField

from integrations import conf
from integrations.database.times import after

DAY = 86400.0


def is_old(column: str, days: float | None = None) -> Q:
    """Return the condition of rows whose `column` is more than `days` ago, by the database's clock.

    Args:
        days: None: RETENTION_DAYS.
    """
    return Q(**{f"{column}__lt": after(-(conf.RETENTION_DAYS if days is None else days) * DAY)})


def old_pages(rows: QuerySet[Any], old: Q) -> Iterator[list[Any]]:
    """Yield the keys of those of `rows` that are `old`, RETENTION_BATCH at a time; their reader deletes them.

    Keys that the database counts up are in the order of time, so the first page without an old row is the last. Other
    keys are not: then the old ones are picked out of the whole table.
    """
    ascends = isinstance(rows.model._meta.pk, AutoField | BigAutoField | SmallAutoField)
    some = (rows if ascends else rows.filter(old)).order_by("pk")
    some = some.annotate(is_old=ExpressionWrapper(old, output_field=BooleanField()))
    last = None
    while True:
        left = some if last is None else some.filter(pk__gt=last)
        page = [pk for pk, is_old in left.values_list("pk", "is_old")[: conf.RETENTION_BATCH] if is_old]
        if not page:
            return
        last = page[-1]
        yield page
