"""Retry, replay, send anyway or cancel chosen syncs: on which rows, and what the person is told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.delivery import operator_actions
from integrations.outbox.models import IntegrationSync

from .actions import CannotStart, start_replay
from .models import MOST_PACE
from .replay import ReplayFilter

MOST = 10_000  # rows per click
AT_ONCE = 100  # of them in the request; more are a job's
CHUNK = 500

Status = IntegrationSync.Status


@dataclass
class Done:
    """What one click did."""

    verb: str
    count: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    is_cut: bool = False

    def __str__(self) -> str:
        words = ngettext("{count} delivery {verb}.", "{count} deliveries {verb}.", self.count)
        parts = [words.format(count=self.count, verb=self.verb)]
        parts += [f"{number} {note}." if number else f"{note}." for note, number in self.notes.items()]
        if self.is_cut:
            parts.append(_("Only the first {most} were looked at; repeat for the rest.").format(most=MOST))
        return " ".join(parts)


def retry(syncs: QuerySet[Any], *, actor: str) -> Done:
    """Make the unfinished ones of `syncs` due now; many of them by a job, which leaves alone what is pending."""
    if (jobs := _as_jobs(syncs, (Status.FAILED, Status.CANCELLED), actor)) is not None:
        return jobs
    others: dict[str, str] = {
        Status.SKIPPED: _("left alone: its condition was not met (use Send anyway)"),
        Status.SYNCED: _("left alone: synced already (use Replay to send it again)"),
    }
    return _run(Done(_("due now")), syncs, others, operator_actions.retry, operator_actions.RETRIED, actor)


def replay(syncs: QuerySet[Any], *, actor: str) -> Done:
    """Send the delivered ones of `syncs` again, with the same webhook-id and body; many of them by a job."""
    if (jobs := _as_jobs(syncs, (Status.SYNCED,), actor)) is not None:
        return jobs
    done, others = Done(_("will be sent again")), _all_but(Status.SYNCED, _("left alone: not synced yet (use Retry)"))
    return _run(done, syncs, others, operator_actions.replay, operator_actions.REPLAYED, actor)


def send_anyway(syncs: QuerySet[Any], *, actor: str) -> Done:
    """Send those of `syncs` that were skipped, although their condition was not met."""
    done, others = Done(_("will be sent anyway")), _all_but(Status.SKIPPED, _("left alone: not skipped"))
    return _run(done, syncs, others, operator_actions.send_anyway, operator_actions.SENT_ANYWAY, actor)


def cancel(syncs: QuerySet[Any], *, actor: str) -> Done:
    """Cancel the pending ones of `syncs`."""
    done, others = Done(_("cancelled")), _all_but(Status.PENDING, _("left alone: not pending"))
    return _run(done, syncs, others, operator_actions.cancel, operator_actions.CANCELLED, actor, sends=False)


def _as_jobs(syncs: QuerySet[Any], states: tuple[str, ...], actor: str) -> Done | None:
    """Start a job for each tenant whose rows are among `syncs`; None if they are few enough for the request."""
    rows = list(syncs.order_by("id").values_list("integration__tenant_id", "pk")[: MOST + 1])
    if len(rows) <= AT_ONCE:
        return None
    done = Done(_("handed to a job in the background"), is_cut=len(rows) > MOST)
    of_tenant: dict[Any, list[int]] = {}
    for tenant_id, pk in rows[:MOST]:
        of_tenant.setdefault(tenant_id, []).append(pk)
    for tenant_id, pks in of_tenant.items():
        which = ReplayFilter(ids=tuple(pks), status=states)
        try:
            job = start_replay(tenant_id, which, actor=actor, pace=MOST_PACE)
        except CannotStart as error:
            done.notes[str(error).removesuffix(".")] += 0
            continue
        done.count += len(pks)
        done.notes[f"{job}: {job.in_words}"] += 0
    return done


def _all_but(status: str, note: str) -> dict[str, str]:
    return {each: note for each in Status.values if each != status}


def _run(
    done: Done,
    syncs: QuerySet[Any],
    others: Mapping[str, str],
    act: Callable[..., int],
    verb: str,
    actor: str,
    *,
    sends: bool = True,
) -> Done:
    """Do `act` with all of `syncs` but those in a state of `others`, which says why they are left alone.

    Args:
        sends: what it does sends something, so that rows of integrations that are switched off are left alone, too.
    """
    facts = syncs.order_by("id").values_list("id", "status", "integration__is_active", "integration__is_enabled")
    rows = list(facts[: MOST + 1])
    done.is_cut = len(rows) > MOST
    ids = []
    for pk, status, is_active, is_enabled in rows[:MOST]:
        if status in others:
            done.notes[others[status]] += 1
        elif sends and not is_active:
            done.notes[_("left alone: the integration is switched off")] += 1
        else:
            ids.append(pk)
            if sends and not is_enabled:
                done.notes[_("waiting until the integration is re-enabled")] += 1
    touched: operator_actions.Touched = defaultdict(list)
    for start in range(0, len(ids), CHUNK):
        done.count += act(ids[start : start + CHUNK], actor=actor, touched=touched)
    operator_actions.note_rows(verb, touched, actor=actor)
    return done
