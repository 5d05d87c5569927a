"""The admin of the business objects. What integrations add to these pages, they register as panels."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.timezone import localtime

from integrations.tenancy.harmless_text import harmless
from tenants.scoped_admin import TenantFilter, TenantOwnedForm, TenantScopedAdmin

from .models import Customer, CustomerAsset, DropoffPoint, Note, WorkItem

NOTES_SHOWN = 50


class WorkItemForm(TenantOwnedForm):
    """A work item, and perhaps one more note on it."""

    new_note = forms.CharField(
        label="Add a note",
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
    )


@admin.register(WorkItem)
class WorkItemAdmin(TenantScopedAdmin):
    """Work items with their notes; notes are added, never edited."""

    form = WorkItemForm
    list_display = ("reference_id", "summary", "status", "priority", "customer", "technician", "due_date", "tenant")
    list_filter = ("status", "priority", "type", TenantFilter)
    list_select_related = ("customer", "technician", "tenant")
    list_per_page = 50
    search_fields = ("reference_id", "description", "customer__name")
    autocomplete_fields = ("customer", "customer_asset", "dropoff_point")
    readonly_fields = ("latest_notes",)

    def own_fieldsets(self, request: HttpRequest, obj: Any) -> Any:
        own: list[Any] = [
            (None, {"fields": ("tenant", "reference_id", "description", ("status", "priority", "type"))}),
            ("People", {"fields": ("customer", "customer_asset", ("owner", "technician"))}),
            (
                "Intake and price",
                {
                    "fields": (
                        ("intake_method", "dropoff_point"),
                        "created_date",
                        "due_date",
                        ("estimated_price", "final_price"),
                        "comments",
                    )
                },
            ),
        ]
        if obj is not None:
            may_write = self.has_change_permission(request, obj)
            own.append(("Notes", {"fields": ("latest_notes", "new_note") if may_write else ("latest_notes",)}))
        return own

    @admin.display(description="description")
    def summary(self, obj: WorkItem) -> str:
        return obj.description if len(obj.description) <= 60 else f"{obj.description[:59]}…"

    @admin.display(description="notes")
    def latest_notes(self, obj: WorkItem) -> str:
        """The latest notes, newest first."""
        own = obj.notes.filter(tenant_id=obj.tenant_id)
        found = list(own.select_related("author")[: NOTES_SHOWN + 1])
        if not found:
            return "None yet."
        rows = format_html_join(
            "",
            '<li class="ig-note"><div class="ig-quiet">{} · {}</div><div>{}</div></li>',
            (
                (_author(note), f"{localtime(note.created_at):%Y-%m-%d %H:%M:%S}", _text(note))
                for note in found[:NOTES_SHOWN]
            ),
        )
        more = format_html("<li>Older notes are not shown.</li>") if len(found) > NOTES_SHOWN else ""
        return format_html('<ul class="ig-notes">{}{}</ul>', rows, more)

    def save_model(self, request: HttpRequest, obj: WorkItem, form: Any, change: bool) -> None:
        if not change or set(form.changed_data) - {"new_note"}:
            super().save_model(request, obj, form, change)
        if text := form.cleaned_data.get("new_note"):
            Note.objects.create(tenant_id=obj.tenant_id, work_item=obj, author_id=request.user.pk, text=text)


def _author(note: Note) -> str:
    if note.author is None:
        return "system"
    return note.author.get_full_name() or note.author.get_username()


def _text(note: Note) -> str:
    # What nobody of ours wrote may be a stranger's word, and must not rearrange the page around it.
    return harmless(note.text) if note.author is None else note.text


@admin.register(Customer)
class CustomerAdmin(TenantScopedAdmin):
    """Who brings things in."""

    list_display = ("name", "email", "tenant")
    list_filter = (TenantFilter,)
    list_select_related = ("tenant",)
    search_fields = ("name", "email")
    fields = ("tenant", "name", "email")


@admin.register(CustomerAsset)
class CustomerAssetAdmin(TenantScopedAdmin):
    """What they bring."""

    list_display = ("name", "customer", "tenant")
    list_filter = (TenantFilter,)
    list_select_related = ("customer", "tenant")
    search_fields = ("name", "customer__name")
    autocomplete_fields = ("customer",)
    fields = ("tenant", "customer", "name")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset.select_related("customer"), search_term)


@admin.register(DropoffPoint)
class DropoffPointAdmin(TenantScopedAdmin):
    """Where they bring it."""

    list_display = ("name", "tenant")
    list_filter = (TenantFilter,)
    list_select_related = ("tenant",)
    search_fields = ("name",)
    fields = ("tenant", "name")
