"""Who did what: the list, one entry, and the list as a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.audit.trail import AuditEntry, record
from integrations.console.access import Access
from integrations.console.keyset import listing
from integrations.console.page import page, show
from integrations.console.workbench.bench import open_bench
from integrations.tenancy.capabilities import Capability

from .entries import ACTIONS, Filters, integrations_of, readable, readable_everywhere
from .shown import put_in_words


@page(Capability.AUDIT)
def audit(request: HttpRequest, access: Access) -> HttpResponse:
    """Show who did what, newest first."""
    filters = Filters(request, access)
    # Those of one tenant or integration are found by an index; a text is looked for in a bounded stretch.
    found = listing(request, filters.narrow(readable(access)), keys=filters.keys())
    put_in_words(access, found.rows)
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    context = {
        "page": found,
        "values": filters.values,
        "is_filtered": filters.is_set,
        "actions": ACTIONS,
        "sources": AuditEntry.Source.choices,
        "integrations": integrations_of(access),
        "query": query.urlencode(),
        "most": MOST,
    }
    return show(request, access, "audit.html", context)


@page(Capability.AUDIT)
def audit_entry(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Show one entry with all that was changed."""
    entry = readable_everywhere(access).filter(pk=pk).first()
    if entry is None:
        raise Http404
    put_in_words(access, [entry])
    return show(request, access, "audit_entry.html", {"entry": entry})


@page(Capability.AUDIT)
def audit_export(request: HttpRequest, access: Access) -> Any:
    """Give the chosen entries as a file, and write down that somebody took them along."""
    filters = Filters(request, access)
    rows = filters.narrow(readable(access))
    record("exported", tenant=access.tenant, name="audit trail", request=request, details=filters.in_words())
    response = StreamingHttpResponse(blocks(rows), content_type="text/csv; charset=utf-8")
    day = f"{timezone.localdate():%Y-%m-%d}"
    response["Content-Disposition"] = f'attachment; filename="audit-{day}.csv"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@page(Capability.VIEW)
def history(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show who changed one integration, on its workbench; addresses only to those who may read the audit trail."""
    bench = open_bench(access, public_id, "history")
    access.require(Capability.VIEW, bench.integration.tenant_id)
    found = listing(request, AuditEntry.objects.filter(integration_key=bench.integration.pk), is_sparse=False)
    put_in_words(access, found.rows)
    may_audit = access.may(Capability.AUDIT, bench.integration.tenant_id)
    return show(request, access, "workbench_history.html", {"bench": bench, "page": found, "may_audit": may_audit})


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
