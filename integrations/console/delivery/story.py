"""The story of one delivery: what happened, in order, what comes next, and what a person can do.

In: a sync with its event, integration and lane joined, and the lines of its log. Out: `Moment`s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from integrations import conf
from integrations.audit.models import ExecutionLog
from integrations.audit.notes import WrittenNote, tells_of
from integrations.connections.health import without_advice
from integrations.connections.models import TenantIntegration
from integrations.console.changes import changes_of, name_actors, names_of
from integrations.database import clock
from integrations.outbox.models import IntegrationEvent, IntegrationSync

from .exchange import Shown

Status = IntegrationSync.Status
Words = tuple[str, ...]
ATTEMPT = "deliver"  # the action of a line that is an attempt; others are what people did
SHOWN, FOLDED = 3, 3  # of many attempts the last ones are shown; so many and more before them are folded


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try.

    Attributes:
        answer: what came back, as the log keeps it.
        exchanges: empty where nothing was sent, or its request was not kept: it is from before that was done.
    """

    log: ExecutionLog
    exchanges: list[Shown]
    answer: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of the story.

    Attributes:
        kind: ok, warn, bad or "": its colour.
        words: what it means, in sentences of ours.
        quote: what somebody else said: an error, a note.
        facts: (name, before, after) of what changed.
        delivery: the key of another delivery that this is about.
        payload: what is sent, indented.
        folded: steps of which only the number is said, until somebody wants them.
    """

    icon: str
    title: str
    kind: str = ""
    at: datetime | None = None
    words: Words = ()
    quote: str = ""
    facts: list[tuple[str, Any, Any]] = field(default_factory=list)
    attempt: Attempt | None = None
    delivery: int | None = None
    payload: str = ""
    folded: list[Moment] = field(default_factory=list)
    is_next: bool = False


def tell(
    sync: IntegrationSync,
    attempts: dict[int, Attempt],
    logs: Iterable[ExecutionLog],
    *,
    holder: IntegrationSync | None,
    written: Iterable[WrittenNote],
    payload: str = "",
    left_out: int = 0,
) -> list[Moment]:
    """Return the story.

    Args:
        attempts: of the lines of the log that are attempts, by key.
        logs: all lines, oldest first.
        holder: the earlier delivery of the same object that must go first, if there is one.
        written: notes of the system on the object, since this was recorded.
        payload: what is sent, for reading.
        left_out: how many lines are older than those of `logs`.
    """
    lines = list(logs)
    names = names_of({log.actor for log in lines if log.pk not in attempts})
    name_actors([sync.event])
    return [
        _changed(sync.event),
        _recorded(sync, payload),
        *_left_out(left_out),
        *_folded(list(_log(attempts, lines, names))),
        *_next(sync, holder),
        *_noted(sync, written),
    ]


# -- the beginning ----------------------------------------------------------------------------------------


def _changed(event: IntegrationEvent) -> Moment:
    if event.origin_id is not None:
        name = event.origin.name if event.origin else _("an integration that is deleted now")
        title, icon = _("Changed by %(name)s, which called back") % {"name": name}, "inbound"
    elif event.actor:
        title, icon = _("Changed by %(name)s") % {"name": event.by}, "person"  # type: ignore[attr-defined]
    else:
        title, icon = _("Changed by the application or a person"), "person"
    return Moment(icon, title, at=event.occurred_at, facts=changes_of(event))


def _recorded(sync: IntegrationSync, payload: str) -> Moment:
    integration = sync.integration.name
    if sync.status == Status.SKIPPED:
        words: Words = (
            _("It is not sent: what happened does not meet the condition of the subscription."),
            _("The event was recorded with the change, and this row with it, so that you can see why."),
        )
        return Moment(
            "skip",
            _("Skipped for %(name)s") % {"name": integration},
            at=sync.created_at,
            words=words,
            quote=sync.reason,
        )
    words = (_("Written in the same transaction as the change itself, so neither can be there without the other."),)
    if sync.payload:
        words += (_("This subscription sends a payload of its own."),)
    if sync.older_body:
        version = _("It is of version %(number)s of the payload, which this subscription has.")
        words += (version % {"number": sync.version},)
    title = _("Recorded, and owed to %(name)s") % {"name": integration}
    return Moment("events", title, at=sync.created_at, words=words, payload=payload)


def _left_out(count: int) -> Iterator[Moment]:
    if count:
        yield Moment("clock", _("Older attempts are not shown"))


# -- attempts, and what people did ------------------------------------------------------------------------


_DONE = {
    "retried": ("play", gettext_noop("Retried by %(name)s")),
    "replayed": ("play", gettext_noop("Replayed by %(name)s: the same webhook-id and body once more")),
    "cancelled": ("cross", gettext_noop("Cancelled by %(name)s")),
    "sent anyway": ("play", gettext_noop("Sent anyway by %(name)s, although its condition was not met")),
}


def _folded(moments: list[Moment]) -> list[Moment]:
    """Return `moments` with the failures between the first and the last ones folded into one step."""
    middle = moments[1:-SHOWN]
    if len(middle) < FOLDED or any(moment.attempt is None or moment.kind != "bad" for moment in middle):
        return moments
    title = ngettext("%(number)s more attempt failed", "%(number)s more attempts failed", len(middle))
    step = Moment("cross", title % {"number": len(middle)}, "bad", middle[-1].at, folded=middle)
    return [moments[0], step, *moments[-SHOWN:]]


def _log(attempts: dict[int, Attempt], logs: Iterable[ExecutionLog], names: Mapping[str, str]) -> Iterator[Moment]:
    for log in logs:
        if log.pk in attempts:
            yield _attempt(attempts[log.pk])
            continue
        icon, words = _DONE.get(log.action, ("person", f"{log.action.capitalize()} by %(name)s"))
        yield Moment(icon, _(words) % {"name": names.get(log.actor, log.actor)}, at=log.created_at, quote=log.error)


def _attempt(attempt: Attempt) -> Moment:
    log = attempt.log
    values = {"number": log.attempt, "status": log.response_status}
    if not log.error:
        title = _("Attempt %(number)s: delivered") % values
        if log.response_status:
            title = _("Attempt %(number)s: delivered, HTTP %(status)s") % values
        return Moment("check", title, "ok", log.created_at, attempt=attempt)
    title = _("Attempt %(number)s: no answer") % values
    if log.response_status:
        title = _("Attempt %(number)s: HTTP %(status)s") % values
    return Moment("cross", title, "bad", log.created_at, quote=log.error, attempt=attempt)


# -- what comes next, or why it ended ---------------------------------------------------------------------


def _next(sync: IntegrationSync, holder: IntegrationSync | None) -> Iterator[Moment]:
    if sync.status == Status.PENDING:
        yield _waits(sync, holder)
    elif sync.status == Status.FAILED:
        why = sync.reason.removeprefix("gave up: ")
        tried = ngettext("It was tried once.", "It was tried %(number)s times.", sync.attempts)
        said = "" if why.startswith(sync.last_error[:200]) and sync.last_error else sentence(why)
        words: Words = (tried % {"number": sync.attempts}, said, *advice(sync))
        title = _("Gave up: nothing more is tried by itself")
        yield Moment("cross", title, "bad", sync.settled_at, tuple(filter(None, words)), is_next=True)
    elif sync.status == Status.CANCELLED:
        words = (sentence(sync.reason), _("Retry sends it after all."))
        yield Moment(
            "cross", _("Cancelled: it is not sent"), "", sync.settled_at, tuple(filter(None, words)), is_next=True
        )
    elif sync.status == Status.SYNCED and sync.reason:
        yield Moment("warning", _("Delivered, with a remark"), "warn", sync.settled_at, (sentence(sync.reason),))


def _waits(sync: IntegrationSync, holder: IntegrationSync | None) -> Moment:
    """Say what a pending delivery waits for: the first of what stands in its way."""
    integration, now = sync.integration, clock.now()
    lane = getattr(integration, "lane", None)
    last = _last_error(sync)
    words: Words
    if not integration.is_active:
        words = (_("The integration is switched off: this will be cancelled."), _("Switch it on to have it sent."))
        return Moment("pause", _("Waits: the integration is off"), "warn", words=words, is_next=True)
    if not integration.is_enabled:
        words = (
            sentence(without_advice(integration.disabled_reason)),
            _("Mend that, then re-enable the integration: this is sent then."),
        )
        title = _("Waits until the integration is re-enabled")
        return Moment("pause", title, "bad", words=tuple(filter(None, words)), is_next=True)
    if lane is not None and lane.paused_since is not None:
        by = lane.paused_by or _("somebody")
        words = (_("%(name)s has paused the integration; resume it to have this sent.") % {"name": by},)
        return Moment("pause", _("Waits until the integration is resumed"), "warn", words=words, is_next=True)
    if holder is not None:
        words = (
            _("Events of one object arrive in their order, so this waits until the earlier one has arrived or ended,"
              " but no longer than %(time)s after that one failed first.") % {"time": _minutes(conf.HOLD_SECONDS)},
        )  # fmt: skip
        title = _("Waits for an earlier event of the same object")
        at = holder.first_failed_at
        until = at + timedelta(seconds=conf.HOLD_SECONDS) if at is not None else None
        return Moment("clock", title, "warn", until, words, delivery=holder.pk, is_next=True)
    if lane is not None and lane.paused_until is not None and lane.paused_until > max(now, sync.next_attempt_at):
        words = (sentence(lane.pause_reason), *last)
        title = _("The integration rests; the next attempt is made then")
        return Moment("clock", title, "warn", lane.paused_until, tuple(filter(None, words)), is_next=True)
    number = {"number": sync.attempts + 1}
    if sync.next_attempt_at > now:
        title = _("Next: attempt %(number)s") % number if sync.attempts else _("Next: the first attempt")
        return Moment("clock", title, "warn", sync.next_attempt_at, last, is_next=True)
    title = _("Due now: attempt %(number)s") % number if sync.attempts else _("Due now: the first attempt")
    words = (_("A worker takes it up at once; if none does, the workers are down or busy."), *last)
    return Moment("clock", title, "warn", sync.next_attempt_at, words, is_next=True)


def _last_error(sync: IntegrationSync) -> tuple[str, ...]:
    if not sync.attempts:
        return ()
    days = ngettext("%(days)s day", "%(days)s days", round(conf.RETRY_MAX_AGE_SECONDS / 86400)) % {
        "days": round(conf.RETRY_MAX_AGE_SECONDS / 86400)
    }
    return (_("It is tried again with growing pauses, for %(days)s in all.") % {"days": days}, *advice(sync))


def advice(sync: IntegrationSync) -> tuple[str, ...]:
    """Say what a person can do about the last answer."""
    status = sync.response_status
    if status in (401, 403):
        return (_("The receiver refuses our credentials: check them in the settings, then retry."),)
    if status in (404, 405):
        return (_("The receiver knows no such address: check it in the settings, then retry."),)
    if status == 410:
        return (_("The receiver wants no more events: give the integration another address, or delete it."),)
    if status in (301, 302, 303, 307, 308):
        return (_("The address has moved. Redirects are not followed: change the address in the settings."),)
    if status == 413:
        return (_("The receiver finds the body too large: send a smaller payload of its own for this event type."),)
    if status == 429:
        return (_("The receiver wants fewer requests: set a rate limit in the settings."),)
    if status is not None and 400 <= status < 500:
        return (_("The receiver does not like this request: compare the body above with what it expects, then retry."),)
    if status is not None and status >= 500:
        return (_("The receiver had trouble of its own. When it is well again, retry."),)
    return () if status is not None else (_("Nothing came back. When the receiver can be reached, retry."),)


# -- the note ---------------------------------------------------------------------------------------------


def _noted(sync: IntegrationSync, written: Iterable[WrittenNote]) -> Iterator[Moment]:
    """Yield the system's notes on the object that tell of this delivery."""
    for note in written:
        if tells_of(note, sync):
            kind = "ok" if note.text.startswith("✓") else "bad"
            yield Moment("note", _("Noted on the object"), kind, note.at, quote=note.text)


def sentence(text: str) -> str:
    """Return `text` as a sentence."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes and minutes % 60 == 0:
        return ngettext("%(number)s hour", "%(number)s hours", minutes // 60) % {"number": minutes // 60}
    return ngettext("%(number)s minute", "%(number)s minutes", minutes) % {"number": minutes}


def needs_settings(integration: TenantIntegration, sync: IntegrationSync) -> bool:
    """Tell whether what to do next is in the settings of the integration."""
    return not integration.is_enabled or sync.response_status in (301, 302, 303, 307, 308, 401, 403, 404, 405, 410, 429)
