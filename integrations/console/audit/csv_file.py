"""The audit trail as a file of comma-separated values: sent block by block, bounded, and without formulas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from integrations.audit.trail import AuditEntry

MOST = 50_000  # entries of one file
CHUNK = 5_000  # entries of one query, and of one block that is sent
COLUMNS = {
    "when": "created_at",
    "who": "actor",
    "who_key": "actor_key",
    "source": "source",
    "address": "address",
    "path": "path",
    "action": "action",
    "object_type": "object_type",
    "object_key": "object_key",
    "object": "object_name",
    "integration": "integration_name",
    "tenant_key": "tenant_key",
    "tenant": "tenant_name",
    "changes": "changes",
    "details": "details",
}
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def blocks(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield the lines of the file, the newest entry first, MOST of them; memory holds CHUNK of them."""
    yield "\ufeff" + _text([tuple(COLUMNS)])
    left, last = MOST, None
    while left:
        some = rows if last is None else rows.filter(pk__lt=last)
        size = min(CHUNK, left)
        # As they are in the database: an instance for each would take half of the time.
        chunk = list(some.order_by("-pk").values_list("pk", *COLUMNS.values())[:size])
        if chunk:
            yield _text(map(_cells, chunk))
        if len(chunk) < size:
            return
        left, last = left - len(chunk), chunk[-1][0]
    if rows.filter(pk__lt=last).exists():
        yield _text(
            [[_("only the newest {most} entries: choose an earlier day to export older ones").format(most=MOST)]]
        )


def _text(lines: Any) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(lines)
    return written.getvalue()


def _cells(row: tuple[Any, ...]) -> list[str]:
    _pk, when, *texts, changes, details = row
    objects = (json.dumps(each, ensure_ascii=False) if each else "" for each in (changes, details))
    return [when.isoformat(), *map(harmless_cell, texts), *map(harmless_cell, objects)]


def harmless_cell(value: Any) -> str:
    """Return `value` as a cell that no spreadsheet computes."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
