"""Pull now and start over for chosen pulls: the same for our rows and a host's.

Neither reads anything itself: a provider may take minutes, and a page must not. A worker is asked by a hint; what has
an interval is made due as well, so that the sweep finds it if the hint is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from integrations.alone import MAX_DEATHS
from integrations.audit.trail import record_rows
from integrations.database import clock
from integrations.delivery.hints import SLOW_QUEUE, send_hint, together
from integrations.delivery.sweep import SENDING_SECONDS
from integrations.one_click import NOT_YOURS, Done, May
from integrations.pull.by_name import FULL, INCREMENTAL
from integrations.pull.handlers import NOBODY
from integrations.pull.lease import RELEASED, given_up
from integrations.pull.models import AbstractSyncState
from integrations.pull.run import may_pull

MOST = 50  # rows per click: each is a hint of its own

Status = AbstractSyncState.Status


@dataclass
class Asked(Done):
    """The pulls for which a worker was asked."""

    unasked: int = 0  # no worker could be told

    def messages(self) -> Iterator[tuple[bool, str]]:
        """Yield (is it good, what to say)."""
        if self.count:
            yield (
                True,
                _("{did}: {count}. A worker was asked; reload the page in a moment.").format(
                    did=self.did, count=self.count
                ),
            )
        for note, number in self.notes.items():
            yield False, f"{number} {note}."
        if self.unasked:
            yield (
                False,
                _("{unasked} could not be asked for: the broker is away. What has an interval is due now.").format(
                    unasked=self.unasked
                ),
            )
        if self.is_cut:
            yield False, _("Only the first {most} were looked at; repeat for the rest.").format(most=MOST)


def is_leased(state: Any) -> bool:
    """Tell whether a worker that is not given up reads for `state` now."""
    return bool(state.lease_token and state.lease_expires_at and state.lease_expires_at > clock.now())


def pull_now(states: QuerySet[Any], may: May) -> Asked:
    """Ask a worker to go on from the cursor of each of `states` on which the person `may` act."""
    return _ask(states, may, Asked(_("Pulling now")), INCREMENTAL)


def start_over(states: QuerySet[Any], may: May) -> Asked:
    """Forget the cursor of each of `states` on which the person `may` act; ask a worker to read everything again.

    A worker that reads just now loses its lease with it: the page in its hands is not kept, or its cursor would
    undo this.
    """
    forgotten = {"cursor": "", "pages_in_run": 0, "status": Status.IDLE, **RELEASED}
    return _ask(states, may, Asked(_("Started over")), FULL, **forgotten)


def _ask(states: QuerySet[Any], may: May, done: Asked, task: str, **values: Any) -> Asked:
    found = list(states.order_by("pk").select_related("connection")[: MOST + 1])
    done.is_cut = len(found) > MOST
    with together(SENDING_SECONDS):
        _ask_each(found[:MOST], may, done, task, values)
    record_rows("pulled" if task == INCREMENTAL else "started over", done.rows, noun="pulls")
    return done


def _ask_each(found: list[Any], may: May, done: Asked, task: str, values: dict[str, Any]) -> None:
    for state in found:
        if not may(state):
            done.notes[NOT_YOURS] += 1
            continue
        if not may_pull(state.connection):
            done.notes[_("skipped: the connection is off or disabled, or its last test did not pass")] += 1
            continue
        if not state.has_taker:
            done.notes[_("skipped: {nobody}; register a handler first (docs/pull.md)").format(nobody=NOBODY)] += 1
            continue
        if not values and is_leased(state):
            done.notes[_("skipped: a worker is reading already")] += 1
            continue
        rows = type(state)._base_manager.filter(pk=state.pk)
        # It was given up; a person says that it may be tried again: alone, and once.
        rows.filter(given_up()).update(unfinished=MAX_DEATHS - 1)
        # Due now, or never by itself if it has no interval; a wait after a failure ends.
        is_scheduled = bool(getattr(state, "interval_minutes", None))
        rows.update(**values, next_sync_at=clock.now() if is_scheduled else None)
        # A person asked: the message is kept for as long as the workers are busy.
        if send_hint(task, _arguments(state), SLOW_QUEUE):
            done.rows.append(state)
        else:
            done.unasked += 1


def _arguments(state: Any) -> dict[str, Any]:
    connection, model = type(state.connection)._meta, type(state)._meta
    return {
        "connection_id": state.connection.pk,
        "resource_type": state.resource_type,
        "app_label": connection.app_label,
        "model_name": connection.object_name,
        "sync_state_app": model.app_label,
        "sync_state_model": model.object_name,
    }
