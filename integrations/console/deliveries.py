"""The list of deliveries, live; the same as a tab of one integration; and what is done with those that are ticked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections import event_types
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access, RoleNeeded
from integrations.console.delivery.views import ACTS
from integrations.console.keyset import key_in, keys_of
from integrations.console.objects import finder, name_objects
from integrations.console.one_integration import may_act_on
from integrations.console.page import is_part, page, show
from integrations.console.workbench.bench import open_bench
from integrations.jobs.chosen import AT_ONCE
from integrations.outbox.filters import RETRYING, SyncFilter
from integrations.outbox.models import IntegrationSync
from integrations.outbox.search import Found, Scope, scope_of, search
from integrations.pages.display import sync_badge, sync_story
from integrations.tenancy.capabilities import Capability

OFFERED = 500  # integrations that the filter names
LOCAL = ("before", "after")  # of an address, what is no filter

STATES = (
    ("pending", gettext_lazy("Pending")),
    (RETRYING, gettext_lazy("Retrying")),
    ("synced", gettext_lazy("Synced")),
    ("failed", gettext_lazy("Failed")),
    ("cancelled", gettext_lazy("Cancelled")),
    ("skipped", gettext_lazy("Skipped")),
)


@page(Capability.VIEW_DELIVERIES)
def deliveries(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the deliveries that the address chooses, newest first; to htmx only the rows."""
    which, errors = SyncFilter.from_query(request.GET)
    context = _context(request, access, which, errors)
    if is_part(request):
        return show(request, access, "parts/deliveries.html", context)
    rows: Any = access.rows(TenantIntegration.objects.present()).select_related("tenant")
    offered = list(rows.only("public_id", "name", "tenant").order_by("name", "pk")[:OFFERED])
    chosen = which.integration
    if chosen is not None and all(one.public_id != chosen for one in offered):
        offered += access.visible(TenantIntegration.objects.select_related("tenant")).filter(public_id=chosen)
    return show(request, access, "deliveries.html", {**context, "integrations": offered})


@page(Capability.VIEW_DELIVERIES)
def integration_deliveries(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show the same of one integration, as a tab of its workbench."""
    bench = open_bench(access, public_id, "deliveries")
    integration = bench.integration
    query = request.GET.copy()
    query.pop("tenant", None)
    query["integration"] = str(public_id)
    which, errors = SyncFilter.from_query(query)
    context = _context(request, access, which, errors, integration)
    if is_part(request):
        return show(request, access, "parts/deliveries.html", context)
    return show(request, access, "deliveries_of_integration.html", {**context, "bench": bench})


def _context(
    request: HttpRequest,
    access: Access,
    which: SyncFilter,
    errors: Mapping[str, str],
    integration: TenantIntegration | None = None,
) -> dict[str, Any]:
    before, after = key_in(request, "before"), key_in(request, "after")
    found = _found(request, access, which, integration, before, after)
    for sync in found.rows:
        sync.badge, sync.waits = sync_badge(sync), sync_story(sync)  # type: ignore[attr-defined]
    name_objects(access, [sync.event for sync in found.rows])
    query = which.to_query()
    if integration is not None:
        query.pop("integration", None)
    tenants = {sync.integration.tenant_id for sync in found.rows}
    is_filtered = bool(query)
    return {
        "which": which,
        "errors": errors,
        "typed": {name: " ".join(request.GET.getlist(name)) for name in errors},  # what is wrong stays to be mended
        "query": {name: " ".join(values) for name, values in query.items()},
        "words": which.in_words(_name(access, which)) if is_filtered and integration is None else "",
        "page": found,
        "newer": _address(request, query, after=found.newer) if found.newer is not None else "",
        "older": _address(request, query, before=found.older) if found.older is not None else "",
        "live": _address(request, query, before=before, after=after),
        "is_first": before is None and after is None,
        "integration": integration,
        "states": STATES,
        "kinds": event_types.recorded(),
        "may_retry": any(access.may(Capability.RETRY, tenant) for tenant in tenants),
        "all_of_them": _job(which, access),
        "is_filtered": is_filtered,
        "at_once": AT_ONCE,
    }


def _name(access: Access, which: SyncFilter) -> str | None:
    """Return the name of the filter's integration, as far as this person may see it."""
    if which.integration is None:
        return None
    rows = access.visible(TenantIntegration.objects.filter(public_id=which.integration))
    return rows.values_list("name", flat=True).first() or _("an integration that does not exist")


def _found(
    request: HttpRequest,
    access: Access,
    which: SyncFilter,
    integration: TenantIntegration | None,
    before: int | None,
    after: int | None,
) -> Found:
    rows = IntegrationSync.objects.select_related("event", "integration__tenant", "integration__lane")
    rows = rows.defer("event__body", "payload", "older_body", "progress")
    integrations: QuerySet[Any] = TenantIntegration.objects.all()
    if integration is not None:  # of a tenant that may be another one than that which is looked at
        visible = access.visible(rows, "integration__tenant")
        among = Scope([integration.pk])
    else:
        visible = access.rows(rows, "integration__tenant")
        among = scope_of(which, access.rows(integrations), _tenant_keys(access))
    return search(which, visible, among, before=before, after=after, find=finder(request, access))


def _tenant_keys(access: Access) -> list[Any] | None:
    if access.tenant is not None:
        return [access.tenant.pk]
    if access.user.is_active and access.user.is_superuser:
        return None
    return [tenant.pk for tenant in access.tenants]


def _address(request: HttpRequest, query: Mapping[str, Any], **keys: int | None) -> str:
    values = {**query, **{name: value for name, value in keys.items() if value is not None}}
    return f"{request.path}?{urlencode(values, doseq=True)}" if values else request.path


def _job(which: SyncFilter, access: Access) -> str:
    """Return where a job is made of all that match, "" if this person may not."""
    if not access.may_here(Capability.RETRY):
        return ""
    return f"{reverse('console:job-new')}?{urlencode({'kind': 'replay', **which.to_query()}, doseq=True)}"


def _usable(access: Access, rows: QuerySet[Any]) -> tuple[QuerySet[Any], int]:
    """Return those of the ticked rows whose connector types are this person's to use, and how many others there are."""
    asked: dict[int, bool] = {}
    refused = []
    for sync in rows.select_related("integration__tenant").only(
        "pk", "integration__tenant", "integration__integration_type"
    ):
        if sync.integration_id not in asked:
            asked[sync.integration_id] = may_act_on(access, sync.integration)
        if not asked[sync.integration_id]:
            refused.append(sync.pk)
    return rows.exclude(pk__in=refused) if refused else rows, len(refused)


@page(Capability.VIEW_DELIVERIES, is_button=True)
def act_on_deliveries(request: HttpRequest, access: Access) -> HttpResponse:
    """Retry, replay or cancel the ticked rows, those of tenants for which this person may."""
    act = request.POST.get("act", "")
    if act not in ACTS:
        raise Http404
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = reverse("console:deliveries")
    ticked = keys_of(request.POST.getlist("pk"))
    if not ticked:
        messages.warning(request, _("Tick the deliveries first."))
        return HttpResponseRedirect(back)
    needed, do = ACTS[act]
    rows = access.visible(IntegrationSync.objects.all(), "integration__tenant").filter(pk__in=ticked[:AT_ONCE])
    tenants = set(rows.order_by().values_list("integration__tenant", flat=True).distinct())
    allowed = [key for key in tenants if access.may(needed, key)]
    if tenants and not allowed:
        raise RoleNeeded(needed, access.role_in(next(iter(tenants))))
    rows, left_out = _usable(access, rows.filter(integration__tenant__in=allowed))
    done = do(rows, actor=access.user.get_username())
    if left_out:
        done.notes[_("left alone: you may not use connectors of their type")] += left_out
    messages.add_message(request, messages.SUCCESS if done.count else messages.WARNING, str(done))
    return HttpResponseRedirect(back)
