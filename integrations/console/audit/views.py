"""Who did what: the list, one entry, and the list as a file."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone

from integrations.audit.trail import AuditEntry, record
from integrations.console.access import Access
from integrations.console.keyset import listing
from integrations.console.page import page, show
from integrations.tenancy.capabilities import Capability

from .csv_file import MOST, blocks
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
