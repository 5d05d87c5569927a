"""Work items: what of them is an event, what the payload holds, where notes go.

The only file that knows both the outbox and `WorkItem`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.db import connections
from django.db.models import Choices, QuerySet

from integrations.audit.notes import AuditNote, WrittenNote
from integrations.capture import TriggerHandler, publish
from integrations.database import sql
from integrations.outbox.models import IntegrationEvent
from tasks.models import Note, WorkItem


class WorkItemTrigger(TriggerHandler):
    """``workitem_created``, ``_status_changed``, ``_updated``, ``_deleted``."""

    model = WorkItem
    tenant = "tenant"
    may_move = False  # an item's notes stay where they are
    name = "workitem"
    tracked = (
        "reference_id",
        "description",
        "status",
        "type",
        "priority",
        "created_date",
        "due_date",
        "customer",
        "owner",
        "technician",
        "customer_asset",
        "estimated_price",
        "final_price",
        "dropoff_point",
        "intake_method",
        "comments",
    )
    related = ("customer", "owner", "technician", "customer_asset", "dropoff_point")

    def payload(self, obj: WorkItem) -> dict[str, Any]:
        return {
            "id": obj.pk,
            "reference_id": obj.reference_id,
            "description": obj.description,
            "status": _label(WorkItem.Status, obj.status),
            "type": _label(WorkItem.Type, obj.type),
            "priority": _label(WorkItem.Priority, obj.priority),
            "created_date": obj.created_date,
            "due_date": obj.due_date,
            "customer": obj.customer
            and {"id": obj.customer.pk, "name": obj.customer.name, "email": obj.customer.email},
            "owner": _person(obj.owner),
            "technician": _person(obj.technician),
            "customer_asset": _named(obj.customer_asset),
            "estimated_price": obj.estimated_price,
            "final_price": obj.final_price,
            "dropoff_point": _named(obj.dropoff_point),
            "intake_method": obj.intake_method,
            "comments": obj.comments,
        }

    def write_notes(self, notes: list[AuditNote]) -> None:
        connection = connections["default"]
        # One statement, for it is asked for every slice; an item that is gone, or another tenant's, gets no note.
        key = "bigint" if connection.vendor == "postgresql" else "integer"
        source = sql.listed(connection.vendor, {"place": "integer", "tenant": key, "item": "text", "text": "text"})
        # By the key alone: beside it, PostgreSQL may take the index of tenants instead, and read all that one has.
        item = sql.looked_up(connection.vendor, WorkItem._meta.db_table, "w", f"w.id = CAST(v.item AS {key})")
        listed = [
            {"place": n, "tenant": note.tenant_id, "item": note.object_id, "text": note.text}
            for n, note in enumerate(notes)
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {Note._meta.db_table} (tenant_id, work_item_id, text, created_at) "  # noqa: S608
                f"SELECT w.tenant_id, w.id, v.text, {sql.now(connection.vendor)} FROM {source} "
                f"{item} WHERE w.tenant_id = v.tenant ORDER BY v.place",
                [json.dumps(listed)],
            )

    def read_notes(self, tenant_id: Any, object_id: str, most: int) -> list[WrittenNote]:
        if not (object_id.isascii() and object_id.isdigit() and len(object_id) < 19):
            return []
        found = Note.objects.filter(work_item=int(object_id), tenant=tenant_id).select_related("author")
        return [
            WrittenNote(note.created_at, note.text, (author.get_full_name() or author.get_username()) if author else "")
            for note in found.order_by("-id")[:most]
            for author in [note.author]
        ]


def emit_workitem_event(items: QuerySet[WorkItem], event_type: str) -> list[IntegrationEvent]:
    """Publish `event_type` for each of `items`, e.g. after raw SQL that no signal showed."""
    handler = WorkItemTrigger()
    events: list[IntegrationEvent] = []
    for item in items.select_related("tenant", *handler.related).order_by("pk"):
        payload = handler.happening(event_type, item, using="default").payload
        events += publish(event_type=event_type, tenant=item.tenant, obj=item, payload=payload)
    return events


@cache
def _labels(choices: type[Choices]) -> dict[Any, Any]:
    return dict(choices.choices)


def _label(choices: type[Choices], value: Any) -> Any:
    return _labels(choices).get(value, value)  # get_…_display() makes this dict anew for every row


def _person(user: Any) -> dict[str, Any] | None:
    return user and {"id": user.pk, "name": user.get_full_name() or user.get_username()}


def _named(thing: Any) -> dict[str, Any] | None:
    return thing and {"id": thing.pk, "name": thing.name}


WorkItemTrigger.connect()
