"""How a project adds its own resources under ``/api/v1/``: same keys, limits, paging, idempotency and problems.

In ``integrations_api.py`` of an app, which is imported with the URLs (so only where django-ninja is installed):

    WRITE = Scope("invoices:write", "Write invoices", permissions=("billing.change_invoice",))
    register_scope(WRITE)
    router = Router(tags=["Invoices"])

    @router.get("", response={200: InvoicePage, **PROBLEMS}, summary="List invoices")
    def invoices(request, limit: Limit = 50, before: Before = None):
        rows = Invoice.objects.filter(tenant__in=tenants_for(request, READ))
        return page_of(request, rows, shown, limit=limit, before=before)

    register_router("/invoices", router)

Every write is idempotent by its ``Idempotency-Key``; no code is needed for that. ``record`` writes the audit trail. The
example's is ``tasks/integrations_api.py``; docs/api.md describes it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.module_loading import autodiscover_modules
from ninja import Router

from integrations.api.caller import Caller, Person, Program, caller_of, some_of, tenant_of
from integrations.api.schemas import Moment, Typed
from integrations.api_keys.scopes import Scope, register_scope
from integrations.audit.trail import record

from .conditional import READS, WRITES, etag_of, refuse_stale
from .document import MAKES, MAKES_WITH_TAG, READ_PARAMETERS, WRITE_PARAMETERS, example
from .paging import Before, Limit, Page, SearchedPage, page_of
from .problems import PROBLEMS, ROW_PROBLEMS, WRITE_PROBLEMS, Refused

__all__ = [
    "MAKES",
    "MAKES_WITH_TAG",
    "PROBLEMS",
    "READS",
    "READ_PARAMETERS",
    "ROW_PROBLEMS",
    "WRITES",
    "WRITE_PARAMETERS",
    "WRITE_PROBLEMS",
    "Before",
    "Caller",
    "Limit",
    "Moment",
    "Page",
    "Person",
    "Program",
    "Refused",
    "Scope",
    "SearchedPage",
    "Typed",
    "caller_of",
    "etag_of",
    "example",
    "page_of",
    "record",
    "refuse_stale",
    "register_router",
    "register_scope",
    "require",
    "tenant_for",
    "tenants_for",
]

MODULE = "integrations_api"
_routers: list[tuple[str, Router]] = []
_is_built = False


def register_router(prefix: str, router: Router) -> None:
    """Add the operations of `router` under ``/api/v1<prefix>``.

    Raises:
        RuntimeError: the API is built already: this belongs into ``integrations_api.py`` of an app.
    """
    if _is_built:
        raise RuntimeError(f"The API is built already. Register {prefix} in {MODULE}.py of an installed app.")
    _routers.append((prefix, router))


def discovered() -> list[tuple[str, Router]]:
    """Import the ``integrations_api.py`` of each app; return what they registered. Nothing can be added any more."""
    global _is_built
    autodiscover_modules(MODULE)
    _is_built = True
    return list(_routers)


def tenants_for(request: HttpRequest, scope: Scope) -> QuerySet[Any]:
    """Return the tenants for which the caller may do what `scope` allows.

    Raises:
        PermissionDenied: there is none, although the caller has tenants.
    """
    caller = caller_of(request)
    return some_of(caller, caller.tenants_with(scope), caller.lacks_scope(scope))


def require(request: HttpRequest, scope: Scope, tenant_key: Any) -> None:
    """Refuse a caller who may not do what `scope` allows for this tenant.

    Raises:
        PermissionDenied: the message says what it takes.
    """
    caller_of(request).require_scope(scope, tenant_key)


def tenant_for(request: HttpRequest, scope: Scope, key: str | int | None) -> Any:
    """Return the tenant that `key` names, or the only one that the caller has, where they may do what `scope` allows.

    Raises:
        ConfigurationError: what is wrong with the field ``tenant``.
        PermissionDenied: the message says what it takes.
    """
    tenant = tenant_of(request, key)
    require(request, scope, tenant.pk)
    return tenant
