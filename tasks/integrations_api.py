"""Work items and their notes under ``/api/v1/``: a workflow or a script reads and writes them without being called.

The only file of the example that adds to the library's API (docs/api.md, "Resources of your own").
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_noop
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from integrations.api.v1.extend import (
    MAKES_WITH_TAG,
    PROBLEMS,
    READ_PARAMETERS,
    READS,
    ROW_PROBLEMS,
    WRITE_PARAMETERS,
    WRITE_PROBLEMS,
    WRITES,
    Before,
    Limit,
    Moment,
    Page,
    Person,
    Refused,
    Scope,
    Typed,
    caller_of,
    etag_of,
    example,
    page_of,
    record,
    refuse_stale,
    register_router,
    register_scope,
    require,
    tenant_for,
    tenants_for,
)

from .models import Note, WorkItem

READ = Scope(
    "workitems:read",
    gettext_noop("Read work items and their notes"),
    permissions=("tasks.view_workitem", "tasks.view_note"),
)
WRITE = Scope(
    "workitems:write",
    gettext_noop("Make and change work items, write notes on them"),
    permissions=("tasks.add_workitem", "tasks.change_workitem", "tasks.add_note"),
)
router = Router(tags=["Work items"])

TEXTS = ("reference_id", "description", "status", "type", "priority", "intake_method", "comments")
OTHERS = ("due_date", "estimated_price", "final_price")
KEYS = ("customer", "customer_asset", "dropoff_point")
WHEN = "2026-11-30T12:00:00Z"
_EXAMPLE = {
    "id": 42,
    "tenant": "acme-corp",
    "reference_id": "RMA-123",
    "description": "iPhone screen repair",
    "status": "in_progress",
    "type": "chargeable_repair",
    "priority": "urgent",
    "intake_method": "walk_in",
    "comments": "",
    "created_date": WHEN,
    "due_date": None,
    "estimated_price": "150.00",
    "final_price": None,
    "customer": 45,
    "customer_asset": 67,
    "dropoff_point": 5,
    "owner": "jane",
    "technician": None,
}

Key = Annotated[int, Field(ge=1, le=2**63 - 1)]
Price = Annotated[Decimal, Field(max_digits=12, decimal_places=2, allow_inf_nan=False)]


class WorkItemChange(Schema):
    """What is to change of a work item; what is left out stays as it is."""

    model_config = example({"status": "completed", "final_price": "149.00"}, strict=True)

    reference_id: str = Field("", max_length=50)
    description: str = Field("", max_length=100_000)
    status: WorkItem.Status = WorkItem.Status.NEW
    type: WorkItem.Type = WorkItem.Type.CHARGEABLE_REPAIR
    priority: WorkItem.Priority = WorkItem.Priority.STANDARD
    intake_method: WorkItem.IntakeMethod = WorkItem.IntakeMethod.WALK_IN
    comments: str = Field("", max_length=100_000)
    due_date: Moment | None = None
    estimated_price: Price | None = None
    final_price: Price | None = None
    customer: Key | None = Field(None, description="the id of one of the tenant's customers")
    customer_asset: Key | None = None
    dropoff_point: Key | None = None


class WorkItemIn(WorkItemChange):
    """A new work item."""

    model_config = example({"reference_id": "RMA-124", "priority": "urgent"}, strict=True)

    reference_id: str = Field(min_length=1, max_length=50)
    tenant: Typed | int | None = Field(None, description="slug or id; needed only by people of several tenants")


class WorkItemOut(Schema):
    """A work item."""

    model_config = example(_EXAMPLE)

    id: int = Field(description="as workitem.id of its events")
    tenant: str
    reference_id: str
    description: str
    status: str
    type: str
    priority: str
    intake_method: str
    comments: str
    created_date: datetime
    due_date: datetime | None
    estimated_price: Decimal | None
    final_price: Decimal | None
    customer: int | None
    customer_asset: int | None
    dropoff_point: int | None
    owner: str | None = Field(description="a user name")
    technician: str | None = Field(description="a user name")


class WorkItemPage(Page):
    data: list[WorkItemOut]


class NoteIn(Schema):
    """A new note."""

    model_config = example({"text": "The customer was told."}, strict=True)

    text: str = Field(min_length=1, max_length=10_000)


class NoteOut(Schema):
    """A note on a work item."""

    model_config = example({"id": 7, "author": None, "text": "n8n: The customer was told.", "created_at": WHEN})

    id: int
    author: str | None = Field(
        description="a user name; null: the system, or a program, whose name the text begins with"
    )
    text: str
    created_at: datetime


class NotePage(Page):
    data: list[NoteOut]


@router.get("", response={200: WorkItemPage, **PROBLEMS}, summary="List work items")
def work_items(
    request: HttpRequest,
    status: WorkItem.Status | None = None,
    priority: WorkItem.Priority | None = None,
    reference_id: Annotated[str, Query(max_length=50)] = "",
    limit: Limit = 50,
    before: Before = None,
) -> Any:
    """List the work items, newest first."""
    said = {"status": status, "priority": priority, "reference_id": reference_id}
    rows = _rows(tenants_for(request, READ)).filter(**{name: value for name, value in said.items() if value})
    return page_of(request, rows, _shown, limit=limit, before=before)


@router.post(
    "", response={201: WorkItemOut, **WRITE_PROBLEMS}, summary="Make a work item", openapi_extra=MAKES_WITH_TAG
)
def make(request: HttpRequest, response: HttpResponse, data: WorkItemIn) -> Any:
    """Make a work item; its events are recorded with it."""
    item = WorkItem(tenant=tenant_for(request, WRITE, data.tenant))
    with transaction.atomic():
        _put(item, data)
        item.save()
        record("created", item)
    return _answer(response, item.pk, 201)


@router.get(
    "/{int:pk}",
    response={200: WorkItemOut, **READS, **ROW_PROBLEMS},
    summary="Read one work item",
    openapi_extra=READ_PARAMETERS,
    url_name="workitem",
)
def work_item(request: HttpRequest, response: HttpResponse, pk: int) -> Any:
    """Return one work item. Its `ETag` lets you change it only as long as nobody else did."""
    found = _shown(_one(request, pk, READ))
    if unchanged := refuse_stale(request, etag_of(found)):
        return unchanged
    response["ETag"] = etag_of(found)
    return found


@router.patch(
    "/{int:pk}",
    response={200: WorkItemOut, **WRITES, **WRITE_PROBLEMS},
    summary="Change one work item",
    openapi_extra=WRITE_PARAMETERS,
)
def change(request: HttpRequest, response: HttpResponse, pk: int, data: WorkItemChange) -> Any:
    """Change what is mentioned; what differs is an event, and what does not is none."""
    with transaction.atomic():
        item = _one(request, pk, WRITE, lock=True)
        refuse_stale(request, etag_of(_shown(_rows([item.tenant_id]).get(pk=item.pk))))
        if changes := _put(item, data):
            item.save(update_fields=list(changes))
            record("changed", item, changes=changes)
    return _answer(response, item.pk, 200)


@router.get("/{int:pk}/notes", response={200: NotePage, **ROW_PROBLEMS}, summary="List notes")
def notes(request: HttpRequest, pk: int, limit: Limit = 50, before: Before = None) -> Any:
    """List the notes on a work item, newest first: those of people and programs, and what the system noted."""
    item = _one(request, pk, READ)
    rows = item.notes.filter(tenant_id=item.tenant_id).select_related("author")
    return page_of(request, rows, _note, limit=limit, before=before)


@router.post("/{int:pk}/notes", response={201: NoteOut, **WRITE_PROBLEMS}, summary="Write a note")
def write_note(request: HttpRequest, pk: int, data: NoteIn) -> Any:
    """Write a note on a work item. A program's note begins with the program's name."""
    item, caller = _one(request, pk, WRITE), caller_of(request)
    author = caller.user if isinstance(caller, Person) else None
    # Nobody's hand wrote a program's note, so it says whose word it is: it must not pass for one of the system.
    text = data.text.strip() if author else f"{caller.name}: {data.text.strip()}"
    note = Note(tenant_id=item.tenant_id, work_item=item, author=author, text=text)
    _check(Note(text=data.text.strip()), ["text"])  # with a name before it, there is always something to see
    with transaction.atomic():
        _check(note, ["text"])
        note.save()
        record("note written", item)
    return Status(201, _note(note))


def _rows(tenants: Any) -> QuerySet[WorkItem]:
    return WorkItem.objects.filter(tenant__in=tenants).select_related("tenant", "owner", "technician")


def _one(request: HttpRequest, pk: int, scope: Scope, *, lock: bool = False) -> WorkItem:
    """Return a work item with which the caller may do what `scope` allows; another tenant's does not exist."""
    rows = WorkItem.objects.filter(tenant__in=caller_of(request).tenants(), pk=pk)
    item = (
        rows.select_for_update(no_key=True) if lock else rows.select_related("tenant", "owner", "technician")
    ).first()
    if item is None:
        raise Http404
    require(request, scope, item.tenant_id)
    return item


def _put(item: WorkItem, data: WorkItemChange) -> dict[str, Any]:
    """Put what was sent on `item` (not saved), checked as the forms check it; return {field: [old, new]}.

    Raises:
        Refused: 422, with what is wrong by field.
    """
    changes: dict[str, Any] = {}
    for name in (*TEXTS, *OTHERS, *KEYS):
        column = f"{name}_id" if name in KEYS else name
        if name in data.model_fields_set and getattr(data, name) != getattr(item, column):
            changes[name] = [getattr(item, column), getattr(data, name)]
            setattr(item, column, getattr(data, name))
    _check(item, [name for name in changes if name not in KEYS])
    if strange := [name for name in changes if name in KEYS and not _is_theirs(item, name)]:
        raise _wrong(dict.fromkeys(strange, "there is none with this id"))
    return changes


def _is_theirs(item: WorkItem, name: str) -> bool:
    """Tell whether what the key `name` refers to is there, and of the tenant whose the work item is."""
    key = getattr(item, f"{name}_id")
    model: Any = WorkItem._meta.get_field(name).related_model
    return key is None or model.objects.filter(pk=key, tenant=item.tenant_id).exists()


def _check(row: WorkItem | Note, names: Any) -> None:
    others = [field.name for field in row._meta.concrete_fields if field.name not in names]
    try:
        row.clean_fields(exclude=others)
    except ValidationError as error:
        raise _wrong({name: " ".join(messages) for name, messages in error.message_dict.items()}) from None


def _wrong(fields: dict[str, str]) -> Refused:
    return Refused(422, "wrong_request", "Some of the request is wrong.", fields)


def _answer(response: HttpResponse, pk: int, status: int) -> Any:
    """Return the answer to a write: the work item as it is stored."""
    found = _shown(WorkItem.objects.select_related("tenant", "owner", "technician").get(pk=pk))
    response["ETag"] = etag_of(found)
    if status == 201:
        response["Location"] = reverse("integrations-api-v1:workitem", args=[pk])
    return Status(status, found)


def _shown(item: WorkItem) -> dict[str, Any]:
    return {
        "id": item.pk,
        "tenant": item.tenant.slug,
        "created_date": item.created_date,
        **{name: getattr(item, name) for name in (*TEXTS, *OTHERS)},
        **{name: getattr(item, f"{name}_id") for name in KEYS},
        "owner": item.owner.get_username() if item.owner else None,
        "technician": item.technician.get_username() if item.technician else None,
    }


def _note(note: Note) -> dict[str, Any]:
    author = note.author.get_username() if note.author else None
    return {"id": note.pk, "author": author, "text": note.text, "created_at": note.created_at}


register_scope(READ)
register_scope(WRITE)
register_router("/workitems", router)
