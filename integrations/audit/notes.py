"""The audit note on the business object: one per final outcome, so that it can answer "did it arrive?".

Who knows how to write a note on a kind of object registers here (trigger handlers do); nobody else needs to know.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction

from integrations.counted import counted
from integrations.outbox.models import IntegrationSync
from integrations.outbox.objects import model_of

logger = logging.getLogger("integrations.audit")

RECEIPTS = ("✓ ", "✗ ")  # how the texts below begin
SETTLED_WITHIN = timedelta(seconds=2)  # a note and the row that it tells of are written by one transaction


@dataclass(frozen=True, slots=True)
class AuditNote:
    """`text` to be written on the object, if that belongs to this tenant; never holds a secret."""

    tenant_id: int
    content_type_id: int
    object_id: str
    text: str


def received(integration: str, event_type: str, *, status: int | None, attempt: int, remark: str = "") -> str:
    """Return the text of a note: `integration` has it; `status` is the answer's, `remark` what people must know."""
    answer = f" (HTTP {status})" if status else ""
    tries = f" at attempt {attempt}" if attempt > 1 else ""
    return f"✓ {integration} received {event_type}{answer}{tries}.{f' {_ended(remark)}' if remark else ''}"


def not_received(integration: str, event_type: str, *, attempts: int, why: str) -> str:
    """Return the text of a note: the attempts at `integration` failed, and there will be no further one."""
    times = f"after {attempts} attempts" if attempts > 1 else "at the first attempt"
    return f"✗ {integration} did not get {event_type}: failed {times}: {_ended(why)}"


def not_sent(integration: str, event_type: str, *, ended_as: str, why: str) -> str:
    """Return the text of a note: a person or a switch ended it before it was sent; `ended_as`: cancelled, failed."""
    return f"✗ {event_type} was not sent to {integration}: {ended_as}: {_ended(why)}"


def tells_of(note: WrittenNote, sync: IntegrationSync) -> bool:
    """Tell whether the system wrote `note` about `sync` when that was settled; its event and integration are joined."""
    at = sync.settled_at
    if note.author or at is None or abs(note.at - at) >= SETTLED_WITHIN:
        return False
    name, event_type = sync.integration.name, sync.event.event_type
    return note.text.startswith(
        (
            received(name, event_type, status=None, attempt=1).rstrip("."),
            f"✗ {name} did not get {event_type}",
            f"✗ {event_type} was not sent to {name}",
        )
    )


def _ended(text: str) -> str:
    return text if text.endswith((".", "…")) else f"{text}."


@dataclass(frozen=True, slots=True)
class WrittenNote:
    """A note on a business object, as pages show it; `author`: "" for the system's own."""

    at: datetime
    text: str
    author: str = ""

    @property
    def is_receipt(self) -> bool:
        """Tell whether it says what became of a delivery; what an integration says when it calls back is none."""
        return not self.author and self.text.startswith(RECEIPTS)


NoteWriter = Callable[[list[AuditNote]], None]
NoteReader = Callable[[Any, str, int], list[WrittenNote]]  # tenant's key, object's id, how many at most; newest first
_known: dict[str, tuple[NoteWriter, NoteReader | None]] = {}  # by the model's label


def register_note_writer(model: type[models.Model], writer: NoteWriter, reader: NoteReader | None = None) -> None:
    """Let `writer` write the notes on objects of `model`, and `reader` return them for pages."""
    _known[model._meta.label_lower] = writer, reader


def forget_note_writer(model: type[models.Model]) -> None:
    """Write no more notes on objects of `model`."""
    _known.pop(model._meta.label_lower, None)


def has_note_writer(model: type[models.Model]) -> bool:
    """Tell whether objects of `model` have events and notes (every trigger handler registers its model)."""
    return model._meta.label_lower in _known


def notes_on(content_type_id: int, tenant_id: Any, object_id: str, most: int) -> list[WrittenNote]:
    """Return the newest notes on an object, at most `most`; [] where nobody reads them."""
    _, reader = _known_for(content_type_id)
    return reader(tenant_id, object_id, most) if reader is not None else []


def write_notes(notes: Iterable[AuditNote]) -> None:
    """Write `notes` inside the caller's transaction.

    A failing writer is logged and costs only its notes: what was delivered must be settled, or it would be
    delivered again.
    """
    by_type: dict[int, list[AuditNote]] = defaultdict(list)
    for note in notes:
        by_type[note.content_type_id].append(note)
    for content_type_id, group in by_type.items():
        try:
            writer, _ = _known_for(content_type_id)
            if writer is not None:
                with transaction.atomic():
                    writer(group)
        except Exception:
            logger.exception("could not write %s", counted(len(group), "audit note"))


def _known_for(content_type_id: int) -> tuple[NoteWriter | None, NoteReader | None]:
    model = model_of(content_type_id)
    return _known.get(model._meta.label_lower, (None, None)) if model else (None, None)
