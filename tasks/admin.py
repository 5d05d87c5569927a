"""The admin of the business objects. What integrations add to these pages, they register as panels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.timezone import localtime

from integrations.admin.pages.links import console_url, link
from integrations.audit.notes import RECEIPTS, WrittenNote, tells_of
from integrations.outbox.models import IntegrationSync
from integrations.tenancy.harmless_text import harmless
from tenants.scoped_admin import TenantFilter, TenantOwnedForm, TenantScopedAdmin

from .models import Customer, CustomerAsset, DropoffPoint, Note, WorkItem

NOTES_SHOWN = 50

Stories = Callable[[Note], str]


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
    readonly_fields = ("latest_notes", "receipts")

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
            own.append(("Receipts", {"fields": ("receipts",), "classes": ("collapse",)}))
        return own

    @admin.display(description="description")
    def summary(self, obj: WorkItem) -> str:
        return obj.description if len(obj.description) <= 60 else f"{obj.description[:59]}…"

    @admin.display(description="notes")
    def latest_notes(self, obj: WorkItem) -> str:
        """The latest notes of people and integrations, newest first; what became of deliveries stands apart."""
        return _listed(_notes_of(obj).exclude(_is_receipt()).select_related("author"))

    @admin.display(description="noted by the system")
    def receipts(self, obj: WorkItem) -> str:
        """What the system noted of deliveries, newest first, each with a link to that delivery's story."""
        return _listed(_notes_of(obj).filter(_is_receipt()), _stories(obj))

    def save_model(self, request: HttpRequest, obj: WorkItem, form: Any, change: bool) -> None:
        if not change or set(form.changed_data) - {"new_note"}:
            super().save_model(request, obj, form, change)
        if text := form.cleaned_data.get("new_note"):
            Note.objects.create(tenant_id=obj.tenant_id, work_item=obj, author_id=request.user.pk, text=text)


def _notes_of(item: WorkItem) -> QuerySet[Note]:
    return item.notes.filter(tenant_id=item.tenant_id)


def _is_receipt() -> Q:
    """Return the condition of a note that says what became of a delivery (`WrittenNote.is_receipt`)."""
    begins = Q()
    for mark in RECEIPTS:
        begins |= Q(text__startswith=mark)
    return Q(author=None) & begins


def _listed(notes: QuerySet[Note], stories: Stories | None = None) -> str:
    """Return the newest of `notes` as a list."""
    found = list(notes[: NOTES_SHOWN + 1])
    if not found:
        return "None yet."
    rows = format_html_join(
        "",
        '<li class="ig-note"><div class="ig-quiet">{} · {}</div><div>{}</div></li>',
        (
            (
                _author(note),
                f"{localtime(note.created_at):%Y-%m-%d %H:%M:%S}",
                link(_text(note), stories(note) if stories is not None else ""),
            )
            for note in found[:NOTES_SHOWN]
        ),
    )
    more = format_html("<li>Older notes are not shown.</li>") if len(found) > NOTES_SHOWN else ""
    return format_html('<ul class="ig-notes">{}{}</ul>', rows, more)


def _stories(item: WorkItem) -> Stories:
    """Return what finds the address of the delivery that a note tells of, "" if there is none."""
    key = {"event__content_type": ContentType.objects.get_for_model(item), "event__object_id": str(item.pk)}
    rows = IntegrationSync.objects.filter(**key, integration__tenant=item.tenant_id, settled_at__isnull=False)
    syncs = list(rows.select_related("event", "integration").defer("event__body").order_by("-event_id")[:NOTES_SHOWN])

    def story(note: Note) -> str:
        written = WrittenNote(note.created_at, note.text)
        return next((console_url("delivery", sync.pk) for sync in syncs if tells_of(written, sync)), "")

    return story


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
