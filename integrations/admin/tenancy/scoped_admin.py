"""The base of every admin page whose rows belong to a tenant.

A superuser sees everything. Everybody else sees, chooses and touches only what belongs to the tenants of
theirs: lists, pages, choices, filters, auto-completion, history and actions all start from
``get_queryset`` below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import NestedObjects, quote
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import models, router
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import SimpleTemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.text import capfirst

from integrations.tenancy.boundary import is_own, only_own, owner_of
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.deletion import begin, goes_with, related_rows
from integrations.tenancy.owned import TenantOwned
from integrations.tenancy.roles import Role, said_role
from integrations.tenancy.scope import tenants_of
from integrations.tenancy.tenant import is_tenant, name_of, tenant_key, tenant_model

from .panels import panel_field, panels_of

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin  # what a mixin is mixed into
else:
    _ModelAdmin = object

NOT_TOLD = "—"  # where a row refers to one of another tenant
_NAMED = {"tenant": "tenant_name"}
COUNTED = 1000  # more than this is "1000+" on a delete page


def tenant_ids(request: HttpRequest) -> list[Any] | None:
    """Return the ids of the tenants that the user may see, None for all; asked once per request."""
    if request.user.is_active and request.user.is_superuser:
        return None
    if not hasattr(request, "_tenant_ids"):
        request._tenant_ids = list(tenants_of(request.user).values_list("pk", flat=True))  # type: ignore[attr-defined]
    return request._tenant_ids  # type: ignore[attr-defined]


# -- forms -------------------------------------------------------------------------------------------------


class TenantOwnedForm(forms.ModelForm):
    """Refuses relations that cross tenants, whatever the choices on the page were."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            # Somebody who left the tenant stays chosen where they were: a save must not unassign them.
            current = getattr(self.instance, f"{name}_id", None) if self.instance.pk else None
            if current is not None and isinstance(field, forms.ModelChoiceField):
                field.label_from_instance = partial(_label, owner_of(self.instance), field.label_from_instance)  # type: ignore[method-assign]
                manager = field.queryset.model._base_manager  # type: ignore[union-attr]
                field.queryset = manager.filter(Q(pk__in=field.queryset.values("pk")) | Q(pk=current))  # type: ignore[union-attr]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        tenant = cleaned.get("tenant")
        tenant_id = tenant.pk if tenant is not None else getattr(self.instance, "tenant_id", None)
        if tenant_id is None:
            return cleaned
        for name in set(self.changed_data) & set(cleaned):
            chosen = cleaned[name]
            if isinstance(chosen, TenantOwned) and chosen.tenant_id != tenant_id:
                self.add_error(name, "This belongs to another tenant.")
            elif isinstance(chosen, get_user_model()) and not _works_for(chosen, tenant_id):
                self.add_error(name, "This person does not work for the tenant.")
        return cleaned


def _label(tenant_id: Any, label: Callable[[Any], str], row: Any) -> str:
    """Return how a choice is called; not what another tenant calls it, if it was chosen all the same."""
    return label(row) if tenant_id is None or is_own(owner_of(row), tenant_id) else NOT_TOLD


def _works_for(user: Any, tenant_id: Any) -> bool:
    return user.is_superuser or tenants_of(user).filter(pk=tenant_id).exists()


def _is_tenant_or_user(model: Any) -> bool:
    return model is get_user_model() or (isinstance(model, type) and is_tenant(model))


# -- filters -----------------------------------------------------------------------------------------------


class TenantFilter(admin.SimpleListFilter):
    """Filter by tenant; offered to those who see more than one, and never naming another."""

    title = "tenant"
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        self._lookup = model_admin.tenant_lookup
        found = [(str(tenant.pk), name_of(tenant)) for tenant in tenants_of(request.user)[:200]]
        return found if len(found) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        pk = tenant_key(self.value() or "")
        return queryset if pk is None else queryset.filter(**{self._lookup: pk})


# -- admins ------------------------------------------------------------------------------------------------


class NothingToTell(_ModelAdmin):
    """Mixed into a ModelAdmin: whoever may not see its rows is told the same of every key, whether there is such a row
    or not. Django looks for the row first, and asks for the permission if it finds it."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        may_see = self.has_view_or_change_permission(request) or self.has_delete_permission(request)
        return rows if may_see else rows.none()

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)


class NoNumberTooLarge(_ModelAdmin):
    """Mixed into a ModelAdmin: a filter by a number that SQLite cannot be asked for is answered as one by a word, with
    the whole list."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        try:
            return super().changelist_view(request, extra_context)
        except OverflowError:
            if request.method != "GET" or ERROR_FLAG in request.GET:
                raise
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")


class TenantScopedAdmin(NothingToTell, NoNumberTooLarge, admin.ModelAdmin):
    """Base of the admin of everything that belongs to a tenant.

    Attributes:
        tenant_lookup: path from the model to its tenant, e.g. ``integration__tenant``; ``pk`` on the tenant itself.
        capabilities: what a role must allow for an action: "view", "add", "change", "delete", "operate".
    """

    tenant_lookup = "tenant"
    capabilities: ClassVar[Mapping[str, Capability]] = {}
    form = TenantOwnedForm
    empty_value_display = NOT_TOLD
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would count the whole list again

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        ids = tenant_ids(request)
        return queryset if ids is None else self.limit_to(queryset, ids)

    # Nothing of another tenant's row is told by a row that refers to it, whoever looks: not in a list, on a page or on
    # the way to its deletion, and not by what a search finds.

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        with only_own():
            return _rendered(super().changelist_view(request, extra_context))

    def changeform_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        with only_own():
            return _rendered(super().changeform_view(*args, **kwargs))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, has_doubles = super().get_search_results(request, queryset, search_term)
        names = {path.lstrip("^=@").partition("__")[0] for path in self.get_search_fields(request) if "__" in path}
        relations = [name for name in names if self._is_owned_by(name)]
        if not search_term.strip() or not relations:
            return found, has_doubles
        plain = copy(self)
        plain.search_fields = [path for path in self.get_search_fields(request) if "__" not in path]  # type: ignore[misc]
        by_own_words, _ = super(TenantScopedAdmin, plain).get_search_results(request, queryset, search_term)
        crosses = reduce(
            Q.__or__,
            (Q(**{f"{name}__isnull": False}) & ~Q(**{f"{name}__tenant": F("tenant")}) for name in relations),
        )
        own = Q(pk__in=by_own_words.order_by().values("pk")) if plain.search_fields else Q(pk__in=[])
        return found.filter(~crosses | own), has_doubles

    def _is_owned_by(self, name: str) -> bool:
        """Tell whether `name` leads from a row of a tenant to another row of one."""
        if not issubclass(self.model, TenantOwned):
            return False
        related = self.model._meta.get_field(name).related_model
        return isinstance(related, type) and issubclass(related, TenantOwned)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        to_delete, *more, protected = super().get_deleted_objects(objs, request)
        owners = {owner_of(obj) for obj in objs} - {None}
        if not owners:
            return to_delete, *more, protected
        collector = NestedObjects(using=router.db_for_write(self.model), origin=objs)
        collector.collect(objs)
        rows = [row for found in collector.model_objs.values() for row in found]
        told = [row for row in (*rows, *collector.protected) if owner_of(row) not in {None, *owners}]
        hidden = {words: f"{capfirst(row._meta.verbose_name)}: {NOT_TOLD}" for row in told for words in _words_of(row)}
        return _replaced(to_delete, hidden), *more, _replaced(protected, hidden)

    def limit_to(self, queryset: QuerySet[Any], ids: list[Any]) -> QuerySet[Any]:
        """Return only the rows of these tenants."""
        return queryset.filter(**{f"{self.tenant_lookup}__in": ids})

    def people_of(self, request: HttpRequest, ids: list[Any]) -> QuerySet[Any]:
        """Return the users who may be chosen for rows of these tenants; by default only who asks.

        A project that knows who works for a tenant overrides this.
        """
        users: QuerySet[Any] = get_user_model()._default_manager.all()
        return users.filter(pk=request.user.pk)

    def role_allows(self, request: HttpRequest, action: str, obj: Any) -> bool:
        """Tell whether the person's role for the tenant of `obj` allows `action`.

        Where nobody gave them a role, Django's permissions decide, and those are asked beside this.
        """
        if obj is None or action not in self.capabilities:
            return True
        *path, last = self.tenant_lookup.split("__")
        owner = reduce(getattr, path, obj)
        if owner is None:
            return True
        return self.tenant_allows(request, action, owner.pk if last == "pk" else getattr(owner, f"{last}_id"))

    def tenant_allows(self, request: HttpRequest, action: str, tenant_key: Any) -> bool:
        """Tell the same of a tenant."""
        capability = self.capabilities.get(action)
        return capability is None or request.user.is_superuser or _role_allows(request, capability, tenant_key)

    # An object from elsewhere than get_queryset (a cascade, another admin's link) is judged by itself.

    def _in_scope(self, request: HttpRequest, obj: Any) -> bool:
        ids = tenant_ids(request)
        if obj is None or ids is None:
            return True
        *path, last = self.tenant_lookup.split("__")
        owner = reduce(getattr, path, obj)
        return (owner.pk if last == "pk" else getattr(owner, f"{last}_id")) in ids

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_view_permission(request, obj) and self._in_scope(request, obj)
        return may and self.role_allows(request, "view", obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_change_permission(request, obj) and self._in_scope(request, obj)
        return may and self.role_allows(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_delete_permission(request, obj) and self._in_scope(request, obj)
        return may and self.role_allows(request, "delete", obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        remote = db_field.remote_field.model
        ids = tenant_ids(request)
        if ids is not None and "queryset" not in kwargs:
            if is_tenant(remote):
                allowed = [key for key in ids if self.tenant_allows(request, "add", key)]
                kwargs["queryset"] = remote._default_manager.filter(pk__in=allowed)
            elif issubclass(remote, TenantOwned):
                kwargs["queryset"] = remote._default_manager.filter(tenant__in=ids)
            elif remote is get_user_model():
                kwargs["queryset"] = self.people_of(request, ids)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.is_relation and field and _is_tenant_or_user(db_field.remote_field.model):
            # The pencil, plus and cross beside the select are for other people's work.
            for button in ("add", "change", "delete", "view"):
                setattr(field.widget, f"can_{button}_related", False)
        return field

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        only = list(tenants_of(request.user).values_list("pk", flat=True)[:2])
        preselected = {"tenant": only[0]} if len(only) == 1 else {}
        return {**preselected, **super().get_changeform_initial_data(request)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj is not None and self.tenant_lookup == "tenant":
            fields += ("tenant", "tenant_name")  # what an object's events and secrets are bound to
        return fields + tuple(self._panel_fields(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        panels = self._panel_fields(request, obj)
        own = self.own_fieldsets(request, obj)
        if obj is not None and self.tenant_lookup == "tenant" and not self._opens_tenants(request):
            own = [(title, {**rest, "fields": _unlinked(rest["fields"])}) for title, rest in own]
        return [
            *own,
            *((field.short_description, {"fields": (field,), "classes": ("ig-panel",)}) for field in panels),  # type: ignore[attr-defined]
        ]

    @admin.display(description="tenant")
    def tenant_name(self, obj: Any) -> str:
        """Name the tenant to those who would be led to a refusal by Django's link to its page."""
        return name_of(obj.tenant)

    def _opens_tenants(self, request: HttpRequest) -> bool:
        page = self.admin_site._registry.get(tenant_model())
        return page is not None and page.has_view_or_change_permission(request)

    def own_fieldsets(self, request: HttpRequest, obj: Any) -> Any:
        """Return the fieldsets without the panels; by default what ``fields`` or ``fieldsets`` say."""
        return super().get_fieldsets(request, obj)

    def _panel_fields(self, request: HttpRequest, obj: Any) -> list[Callable[[Any], str]]:
        """Return one read-only field per panel, the same ones all through a request."""
        if obj is None:
            return []
        if not hasattr(request, "_panel_fields"):
            wanted = [panel for panel in panels_of(self.model) if panel.wanted(obj)]
            fields = [panel_field(request, panel, n) for n, panel in enumerate(wanted)]
            request._panel_fields = fields  # type: ignore[attr-defined]
        return request._panel_fields  # type: ignore[attr-defined]

    @property
    def media(self) -> forms.Media:
        css = [path for panel in panels_of(self.model) for path in panel.css]
        return super().media + forms.Media(css={"all": css})


def _role_allows(request: HttpRequest, capability: Capability, tenant_key: Any) -> bool:
    """Tell whether a role that somebody gave allows it; each tenant's is read once for a request."""
    roles = request.__dict__.setdefault("_said_roles", {})
    if tenant_key not in roles:
        roles[tenant_key] = said_role(request.user, tenant_key)
    said = roles[tenant_key]
    return not isinstance(said, Role) or said >= capability.role


def _unlinked(fields: Any) -> Any:
    """Return `fields` with the tenant's name in the place of the tenant."""
    return [_unlinked(each) if isinstance(each, list | tuple) else _NAMED.get(each, each) for each in fields]


def _rendered(response: HttpResponse) -> HttpResponse:
    """Render a page now, while what it may not tell is kept out."""
    return response.render() if isinstance(response, SimpleTemplateResponse) else response


def _words_of(row: Any) -> Iterator[str]:
    """Yield how Django names `row` on the page that asks whether it may be deleted: with a link, and without one."""
    opts = row._meta
    yield f"{capfirst(opts.verbose_name)}: {row}"
    with suppress(NoReverseMatch):
        url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[quote(row.pk)])
        yield format_html('{}: <a href="{}">{}</a>', capfirst(opts.verbose_name), url, row)


def _replaced(nested: list[Any], words: Mapping[str, str]) -> list[Any]:
    return [_replaced(each, words) if isinstance(each, list) else words.get(str(each), each) for each in nested]


class CountedDeletion:
    """A delete page that counts what goes too, instead of loading a million rows to list them, and that only marks:
    a task deletes, in batches (deletion.py), however many rows there are."""

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> tuple[Any, ...]:
        to_delete: list[Any] = []
        counts: dict[str, Any] = {}
        denied = set()
        protected: list[str] = []
        for obj in objs:
            if not self.has_delete_permission(request, obj):  # type: ignore[attr-defined]
                denied.add(obj._meta.verbose_name)
            url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[quote(obj.pk)])
            lines = []
            for relation in obj._meta.related_objects:
                if relation.on_delete is models.PROTECT:
                    protected += map(str, related_rows(relation, [obj.pk], obj._state.db)[:10])
                if not goes_with(relation) or relation.one_to_one:  # the latter is a part of the row itself
                    continue
                rows = relation.related_model._base_manager.filter(**{relation.field.name: obj.pk})
                count = rows.order_by()[: COUNTED + 1].count()
                if count:
                    shown = f"{COUNTED}+" if count > COUNTED else count
                    name = capfirst(relation.related_model._meta.verbose_name_plural)
                    lines.append(f"{name}: {shown}")
                    counts[name] = shown
            kind = capfirst(obj._meta.verbose_name)
            to_delete += [format_html('{}: <a href="{}">{}</a>', kind, url, obj), *([lines] if lines else [])]
        return to_delete, counts, denied, protected

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._mark(request, [obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._mark(request, list(queryset.order_by("pk").values_list("pk", flat=True)))

    def _mark(self, request: HttpRequest, pks: list[Any]) -> None:
        model = self.model  # type: ignore[attr-defined]
        actor = request.user.get_username()
        begin(model, pks, using=router.db_for_write(model), in_background=True, actor=actor)
        count = f"{len(pks)} {model._meta.verbose_name_plural} are" if len(pks) > 1 else "It is"
        words = f"{count} being deleted, with everything that goes with it; the list shows how far it is."
        request._what_was_deleted = words  # type: ignore[attr-defined]

    def message_user(self, request: HttpRequest, message: Any, *args: Any, **kwargs: Any) -> None:
        # Django's own words are "was deleted successfully", on the page and after the action.
        super().message_user(request, getattr(request, "_what_was_deleted", message), *args, **kwargs)  # type: ignore[misc]
