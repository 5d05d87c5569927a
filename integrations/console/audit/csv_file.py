"""The audit trail as a file of comma-separated values, line by line: bounded, and without formulas."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from integrations.audit.trail import AuditEntry

MOST = 50_000  # entries of one file
CHUNK = 1_000
COLUMNS = (
    "when", "who", "who_key", "source", "address", "path", "action", "object_type", "object_key", "object",
    "integration", "tenant_key", "tenant", "changes", "details",
)  # fmt: skip
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class _Line:
    """What `csv.writer` writes to: it hands back each line."""

    def write(self, line: str) -> str:
        return line


def lines(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield the lines of the file, the newest entry first, MOST of them; memory holds CHUNK of them."""
    writer: Any = csv.writer(_Line())
    yield "\ufeff" + writer.writerow(COLUMNS)
    left, last = MOST, None
    while left:
        some = rows if last is None else rows.filter(pk__lt=last)
        chunk = list(some.order_by("-pk")[: min(CHUNK, left)])
        for entry in chunk:
            yield writer.writerow([harmless_cell(value) for value in _values(entry)])
        if len(chunk) < min(CHUNK, left):
            return
        left, last = left - len(chunk), chunk[-1].pk
    if rows.filter(pk__lt=last).exists():
        yield writer.writerow(
            [_("only the newest {most} entries: choose an earlier day to export older ones").format(most=MOST)]
        )


def _values(entry: AuditEntry) -> tuple[Any, ...]:
    return (
        entry.created_at.isoformat(),
        entry.actor,
        entry.actor_key,
        entry.source,
        entry.address or "",
        entry.path,
        entry.action,
        entry.object_type,
        entry.object_key,
        entry.object_name,
        entry.integration_name,
        entry.tenant_key,
        entry.tenant_name,
        json.dumps(entry.changes, ensure_ascii=False) if entry.changes else "",
        json.dumps(entry.details, ensure_ascii=False) if entry.details else "",
    )


def harmless_cell(value: Any) -> str:
    """Return `value` as a cell that no spreadsheet computes."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
