"""Who changed one integration: a tab of its workbench."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from integrations.audit.trail import AuditEntry
from integrations.console.access import Access
from integrations.console.keyset import listing
from integrations.console.page import page, show
from integrations.console.workbench.bench import open_bench
from integrations.tenancy.capabilities import Capability

from .shown import put_in_words


@page(Capability.VIEW)
def history(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show who changed one integration, on its workbench; addresses only to those who may read the audit trail."""
    bench = open_bench(access, public_id, "history")
    access.require(Capability.VIEW, bench.integration.tenant_id)
    found = listing(request, AuditEntry.objects.filter(integration_key=bench.integration.pk), is_sparse=False)
    put_in_words(access, found.rows)
    may_audit = access.may(Capability.AUDIT, bench.integration.tenant_id)
    return show(request, access, "workbench_history.html", {"bench": bench, "page": found, "may_audit": may_audit})
