"""What an integration may do to work items when it calls back: write a note, change the status.

    {"workitem": {"id": 123}, "text": "Customer informed"}                  webhooks/<id>/workitem-note/
    {"workitem": {"reference_id": "RMA-123"}, "status": "completed"}        webhooks/<id>/workitem-status/

Flat keys do too: ``workitem_id``, ``reference_id``. Whatever else stands in the body is left alone, so that a workflow
may send back the ``workitem`` that it got.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.connections.models import TenantIntegration
from integrations.connectors.incoming import WebhookDTO
from integrations.inbound.actions import register_action
from integrations.inbound.fields import choice_in, key_in, text_in, wrong
from tasks.models import Note, WorkItem

MAX_TEXT = 10_000  # what a person may type
MAX_REFERENCE = 50
SAYS_WHICH = 'say which work item: {"workitem": {"id": …}} or {"workitem": {"reference_id": …}}'
STATUSES: dict[str, str] = {str(value): str(label) for value, label in WorkItem.Status.choices}


def add_note(dto: WebhookDTO, connection: TenantIntegration) -> None:
    """``workitem-note``: ``text``, 1 to 10,000 characters of plain text."""
    text = text_in(dto.payload.get("text"), "text", MAX_TEXT)
    _write_note(_work_item(dto.payload, connection), text, connection)


def change_status(dto: WebhookDTO, connection: TenantIntegration) -> None:
    """``workitem-status``: ``status``, by value or label.

    Optional are ``note``, and ``expected_status``: what it is now, or else nothing happens. A change leaves a note that
    says who made it. The status that the work item has already is no change and no event.
    """
    payload = dto.payload
    status = choice_in(payload.get("status"), "status", STATUSES)
    expected = payload.get("expected_status")
    if expected is not None:
        expected = choice_in(expected, "expected_status", STATUSES)
    note = text_in(payload["note"], "note", MAX_TEXT) if payload.get("note") else ""
    item = _work_item(payload, connection)
    if item.status != status:
        if expected is not None and item.status != expected:
            now = item.get_status_display()
            fix = f"the work item is {now} meanwhile, not {STATUSES[expected]}; nothing was changed"
            raise wrong("expected_status", fix)
        before = item.get_status_display()
        item.status = status
        item.save(update_fields=["status"])
        # Nobody else may have subscribed: without a note, the work item would not say who did it.
        note = f"status {before} → {item.get_status_display()}" + (f". {note}" if note else "")
    if note:
        _write_note(item, note, connection)


def _work_item(payload: Mapping[str, Any], connection: TenantIntegration) -> WorkItem:
    """Return the work item of the caller's tenant, locked: another tenant's does not exist."""
    nested = payload.get("workitem")
    if nested is not None and not isinstance(nested, Mapping):
        raise wrong("workitem", 'must be an object: {"id": …} or {"reference_id": …}')
    nested = nested or {}
    pk = key_in(nested.get("id"), "workitem.id")
    flat = key_in(payload.get("workitem_id"), "workitem_id")
    if pk is not None and flat is not None and pk != flat:
        raise wrong("workitem_id", "is another one than workitem.id; send one of them")
    rows = WorkItem.unannounced.using(connection._state.db).filter(tenant_id=connection.tenant_id)
    if (pk := pk if pk is not None else flat) is not None:
        rows, field = rows.filter(pk=pk), "workitem.id"
    else:
        reference = nested.get("reference_id") or payload.get("reference_id")
        if reference is None or reference == "":
            raise wrong("workitem", SAYS_WHICH)
        rows, field = rows.filter(reference_id=text_in(reference, "reference_id", MAX_REFERENCE)), "reference_id"
    # NO KEY UPDATE: a note that somebody else is just writing does not wait for us.
    found = list(rows.select_for_update(no_key=True).order_by("pk")[:2])
    if not found:
        raise wrong(field, "there is no such work item")
    if len(found) > 1:
        raise wrong(field, "several work items have this reference; send workitem.id")
    return found[0]


def _write_note(item: WorkItem, text: str, connection: TenantIntegration) -> None:
    # Nobody's hand wrote it, so it says whose word it is: it must not pass for a note of our own.
    Note.objects.using(connection._state.db).create(
        tenant_id=item.tenant_id, work_item=item, text=f"{connection.name}: {text}"
    )


register_action(
    "workitem-note",
    "Add a note to a work item",
    add_note,
    help="The note begins with the name of the integration.",
    permission="tasks.add_note",
)
register_action(
    "workitem-status",
    "Change the status of a work item",
    change_status,
    help="Perhaps with a note. Every other integration hears of the change; this one does not.",
    permission="tasks.change_workitem",
)
