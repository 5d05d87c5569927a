"""Process again and replay for chosen inbound webhooks, and finding one: the same for our rows and a host's.

A row is made due in the database, and that is what counts: the hint to a worker only makes it soon.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.audit.trail import record_rows
from integrations.delivery.hints import QUEUE, send_hint, together
from integrations.delivery.sweep import SENDING_SECONDS
from integrations.errors import IntegrationError
from integrations.inbound.models import AbstractWebhookEvent
from integrations.inbound.process import LAST_CHANCE
from integrations.inbound.receive import HAS_KILLED, TASK
from integrations.one_click import NOT_YOURS, Done, May
from integrations.tenancy.tenant import key_of
from integrations.transport.http.outgoing import header_secrets
from integrations.transport.redaction import texts_in

MOST = 1000  # rows per click; the request must end
HINTED = 20  # hints per click; the sweep finds the others
LOOKED_AT = 1000  # newest rows, whose connections are tried where only a provider's id is known

Status = AbstractWebhookEvent.Status
# `attempts` is the fence of whoever has a row in hand (inbound/process.py): it goes on, never back.
_ANEW = {
    "status": Status.RECEIVED,
    "attempts": F("attempts") + 1,
    "unfinished": Case(When(HAS_KILLED, then=LAST_CHANCE), default=0),
    "error": "",
    "announced_at": None,
    "processed_at": None,
}


class MadeDue(Done):
    """The inbound webhooks that a worker looks at next."""

    def __str__(self) -> str:
        words = ngettext("{count} inbound webhook {did}.", "{count} inbound webhooks {did}.", self.count)
        parts = [words.format(count=self.count, did=self.did)]
        parts += [f"{number} {note}." for note, number in self.notes.items()]
        if self.is_cut:
            parts.append(_("Only the first {most} were looked at; repeat for the rest.").format(most=MOST))
        return " ".join(parts)


def process_again(events: QuerySet[Any], may: May) -> MadeDue:
    """Make those of `events` due now that failed or wait: at least one more attempt, however many there were.

    Only those on which the person `may` act; so below.
    """
    return _again(
        events,
        may,
        MadeDue(_("will be processed now")),
        "processed again",
        Q(status__in=[Status.RECEIVED, Status.FAILED]),
        {
            Status.PROCESSED: _("skipped: processed already (Replay does it once more)"),
            Status.PROCESSING: _("skipped: a worker is at it"),
            Status.DUPLICATE: _("skipped: it repeats another one"),
        },
    )


def replay(events: QuerySet[Any], may: May) -> MadeDue:
    """Process those of `events` once more that were processed: what they bring about happens again."""
    return _again(
        events,
        may,
        MadeDue(_("will be processed once more")),
        "replayed",
        Q(status=Status.PROCESSED),
        dict.fromkeys(set(Status) - {Status.PROCESSED}, _("skipped: not processed yet (use Process again)")),
    )


def _again(events: QuerySet[Any], may: May, done: MadeDue, action: str, wanted: Q, skipped: dict[Any, str]) -> MadeDue:
    model = events.model
    found = list(events.order_by("pk").defer("body", "payload", "headers")[: MOST + 1])
    done.is_cut = len(found) > MOST
    for event in found[:MOST]:
        if not may(event):
            done.notes[NOT_YOURS] += 1
        elif not event.signature_valid:
            done.notes[_("skipped: rejected, it does not prove where it came from")] += 1
        elif event.status in skipped:
            done.notes[skipped[event.status]] += 1
        else:
            # One at a time, and only if it still is what the person saw: a worker may have taken it just now.
            rows = model._base_manager.filter(wanted, pk=event.pk, signature_valid=True)
            if rows.update(next_attempt_at=Now(), **_ANEW):
                done.rows.append(event)
            else:
                done.notes[_("skipped: a worker was quicker")] += 1
    record_rows(action, done.rows, noun="webhooks")
    _hint(model, done.rows[:HINTED])
    return done


def _hint(model: Any, events: Iterable[Any]) -> None:
    with together(SENDING_SECONDS):
        for event in events:
            values = {
                "webhook_event_id": event.pk,
                "app_label": model._meta.app_label,
                "model_name": model._meta.object_name,
            }
            send_hint(TASK, values, QUEUE)


def find(events: QuerySet[Any], term: str) -> QuerySet[Any]:
    """Return those of `events` whose key, provider's id or number is `term`; all for an empty one."""
    term = term.strip()
    if not term:
        return events
    keys = [term]
    if has_field(events.model, "connection"):
        # A stored key begins with its connection's; nobody copies that part from a provider's page.
        newest = events.order_by("-pk").values_list("connection", flat=True)[:LOOKED_AT]
        keys += [f"{connection}:{term}" for connection in set(newest) if connection is not None]
    number = key_of(events.model, term)
    return events.filter(Q(idempotency_key__in=keys) | (Q(pk=number) if number is not None else Q()))


def has_field(model: Any, name: str) -> bool:
    """Tell whether `model` has a column called so: a host names its own relations as it likes."""
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


def secrets_of(event: Any) -> tuple[str, ...]:
    """Return what must not be shown of an inbound webhook: every secret text of its connection's settings."""
    if not hasattr(event, "_secrets_of"):
        event._secrets_of = _secrets(getattr(event, "connection", None))
    found: tuple[str, ...] = event._secrets_of
    return found


def _secrets(connection: Any) -> tuple[str, ...]:
    if connection is None:
        return ()
    try:
        binding = connection.stored_binding()
        keys = connection.credentials.get("signing_keys") or []
    except IntegrationError:
        return ()  # unreadable: nobody knows them, neither do we
    return tuple(dict.fromkeys([*texts_in([dict(binding.credentials), keys]), *header_secrets(binding.headers)]))
