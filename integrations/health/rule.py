"""How is an integration? Judged by what became of its events, never by what it is meant to be. Pure.

    being deleted > off > disabled > not connected yet > paused > needs attention > failing > resting
                                                                   > no events > never tried > working

The first that is true is said. *Failing* needs evidence against the destination: nothing was taken since
`Facts.failing_since`, and one of these is true:

    nothing was ever taken · the breaker is open · 2 attempts failed in a way that is not the event's fault
    3 events failed over ten minutes · 10 events failed · what failed spans a day

Anything that is taken ends it. A receiver that takes some events and refuses others works, in part: it takes the one or
two that fail now and then, and the words beside it say which they are. A destination that asks us to slow down does not
fail; it rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from django.utils.translation import get_language, gettext, ngettext

Kind = Literal["ok", "warn", "bad", "off"]

AGAINST_DESTINATION = 2  # attempts
SOME_EVENTS, SOME_TIME = 3, timedelta(minutes=10)
MANY_EVENTS = 10
LONG_TIME = timedelta(days=1)


@lru_cache(maxsize=1000)
def _translated(language: str | None, text: str) -> str:
    return gettext(text)


def _(text: str) -> str:
    """Translate `text`; a list judges thousands of integrations, and gettext would be a third of what that costs."""
    return _translated(get_language(), text)


class State(StrEnum):
    """What one word says of an integration; the values are those of the API."""

    WORKING = "working"
    FAILING = "failing"
    RESTING = "resting"
    PAUSED = "paused"
    DISABLED = "disabled"
    NOT_CONNECTED = "not_connected"
    OFF = "off"
    NO_EVENTS = "no_events"
    NEVER_TRIED = "never_tried"
    ATTENTION = "attention"
    DELETING = "deleting"


class Fault(StrEnum):
    """Whose fault it is that nothing arrives; NOBODY: nobody's, or nobody knows."""

    NOBODY = ""
    CREDENTIALS = "credentials"
    SET_UP = "set-up"
    GONE = "gone"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rule judges by; all times by the database's clock.

    Attributes:
        takes_events: events or orders are sent to it; False: it is read from, or only calls us.
        wants_events: what it takes are events that are ticked; False: orders that are pushed to it.
        is_subscribed: an event type is ticked.
        awaits_connection: a person must agree at the provider first.
        disabled_reason: why, without what to do about it: that is `Health.what_to_do`.
        connector: its type; `is_installed`: the connector of that name is.
        test_sends_event: a test is an event that is sent there, so a passed one says that it takes events.
        changed_at: when its settings were saved last.
        refusals: refused credentials in a row. is_set_up_at_fault: what was refused is not the credentials.
        deleting: how far its deletion is, in words; "" if nobody deletes it.
        failing_since: nothing was taken since then; None: the last attempt that counts was taken.
        failing_rows: how many events failed since then; failing_attempts: attempts that were not the events' fault.
        gave_up_at: when an event was given up last; last_error: of the last attempt that failed, whenever that was.
        trouble: what fails beside what is taken, in words.
        pull_error: why its last pull failed; pulled_at: when one succeeded last.
    """

    is_active: bool = True
    is_enabled: bool = True
    disabled_reason: str = ""
    takes_events: bool = True
    wants_events: bool = True
    is_subscribed: bool = True
    awaits_connection: bool = False
    connector: str = ""
    is_installed: bool = True
    is_connected: bool = False
    last_test_at: datetime | None = None
    test_sends_event: bool = False
    changed_at: datetime | None = None
    refusals: int = 0
    refused_at: datetime | None = None
    is_set_up_at_fault: bool = False
    deleting: str = ""
    deleting_since: datetime | None = None
    paused_by: str = ""
    paused_since: datetime | None = None
    attention: str = ""
    paused_until: datetime | None = None
    pause_reason: str = ""
    times_opened: int = 0
    opened_at: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    failing_since: datetime | None = None
    failing_rows: int = 0
    failing_attempts: int = 0
    gave_up_at: datetime | None = None
    last_error: str = ""
    trouble: str = ""
    pull_error: str = ""
    pulled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What is said of an integration.

    Attributes:
        label: one or two words with their symbol, for a badge; `kind` is its colour.
        since: when that began; None: it has no beginning, or nobody wrote it down.
        until: when the lane goes on by itself; None: it does not rest, or not by itself.
        why: a sentence; for what fails, the last error.
        what_to_do: a sentence for a person; "" if there is nothing to be done.
        is_partial: it works, but something fails beside what is taken.
    """

    state: State
    kind: Kind
    label: str
    why: str = ""
    what_to_do: str = ""
    since: datetime | None = None
    until: datetime | None = None
    fault: Fault = Fault.NOBODY
    is_partial: bool = False

    @property
    def is_failing(self) -> bool:
        """True if a person would say that it is broken: events that are due do not arrive, and nobody wanted that."""
        return self.state in (State.FAILING, State.DISABLED, State.ATTENTION)


def judge(facts: Facts, now: datetime) -> Health:
    """Return how the integration is at `now`."""
    until = facts.paused_until if facts.paused_until is not None and facts.paused_until > now else None
    if facts.deleting_since is not None:
        why = _("It is {how_far}. Nothing is recorded for it or sent any more.").format(how_far=facts.deleting)
        label = f"– {(facts.deleting or _('being deleted')).capitalize()}"
        return Health(State.DELETING, "off", label, why, since=facts.deleting_since)
    if not facts.is_active:
        why = _("The tenant switched it off: nothing is recorded for it or sent.")
        return Health(State.OFF, "off", _("– Off"), why, _("Switch it on in its settings."))
    fault = _fault(facts)
    if not facts.is_enabled:
        return _disabled(facts, fault)
    if not facts.is_installed:
        why = _("No connector called {name} is installed. What is configured is kept.").format(name=facts.connector)
        return Health(State.ATTENTION, "bad", _("✗ No connector"), why, _("Install it, or one of the same name."))
    if facts.awaits_connection:
        why = _("Nobody has agreed to the access at the provider yet. Until then events wait.")
        to_do = _("Press Connect on its page and agree at the provider.")
        return Health(State.NOT_CONNECTED, "warn", _("○ Not connected yet"), why, to_do)
    if facts.paused_since is not None:
        why = _("Paused by {name}: events wait, and no attempt is lost.").format(name=facts.paused_by)
        return Health(State.PAUSED, "warn", _("⚠ Paused"), why, _("Press Resume."), since=facts.paused_since)
    if facts.attention:
        to_do = _to_do(facts, fault) or _("Mend what it says, then resume it.")
        since = facts.failing_since
        return Health(State.ATTENTION, "bad", _("✗ Needs attention"), facts.attention, to_do, since, until, fault)
    return _by_outcomes(facts, fault, until, now) if facts.takes_events else _by_connection(facts, fault, until)


def _disabled(facts: Facts, fault: Fault) -> Health:
    why = facts.disabled_reason or _("It was switched off.")
    to_do = _to_do(facts, fault)
    if not facts.disabled_reason and facts.is_connected:
        why, to_do = _("It was disabled; a test has passed since then."), _("Re-enable it: what is pending goes out.")
    since = facts.refused_at if facts.refusals else facts.last_failure_at
    return Health(State.DISABLED, "bad", _("✗ Disabled"), why, to_do or _("Re-enable it."), since, fault=fault)


def _by_outcomes(facts: Facts, fault: Fault, until: datetime | None, now: datetime) -> Health:
    is_failing = _is_failing(facts)
    is_asked = until is not None and not is_failing  # what only asked us to slow down
    if facts.failing_since is not None and facts.last_success_at is None and not is_asked:
        is_failing = True
    if (is_failing or facts.failing_since is not None) and _was_tested_since(facts):
        why = _("A test event was taken, but no event since. Before that: {error}")
        why = why.format(error=_ended(facts.last_error))
        to_do = _("Retry what failed or waits, or let the next event show it.")
        return Health(State.WORKING, "warn", _("⚠ Test passed"), why, to_do, facts.last_test_at, until, is_partial=True)
    if is_failing:
        since = facts.failing_since or facts.opened_at
        why = _ended(facts.last_error if facts.failing_since else "")  # or it is an old one
        why = why or _sentence(facts.pause_reason) or _("Nothing was taken.")
        if facts.failing_rows > 1:
            count = ngettext("{count} event failed, none was taken.", "{count} events failed, none was taken.", 2)
            why = f"{why} {count.format(count=facts.failing_rows)}"
        to_do = _to_do(facts, fault)
        if fault in (Fault.NOBODY, Fault.DESTINATION) and _was_changed_since(facts):
            to_do = _("The settings were saved after the last failure: send a test event, or retry what failed.")
        to_do = to_do or _("Look at the address and the settings, send a test event, and retry what failed.")
        return Health(State.FAILING, "bad", _("✗ Failing"), why, to_do, since, until, fault)
    if until is not None:
        to_do = _("It goes on by itself. Resume sends at once.")
        why = _sentence(facts.pause_reason) or _("The lane rests.")
        return Health(State.RESTING, "warn", _("⚠ Resting"), why, to_do, until=until, fault=fault)
    if facts.wants_events and not facts.is_subscribed:
        why = _("Nothing is sent: no event type is ticked.")
        return Health(State.NO_EVENTS, "off", _("– No events"), why, _("Tick the events that it is to get."))
    if facts.last_success_at is None:
        why = _("Nothing was due yet.")
        if facts.is_connected:
            why = _("A test has passed; no event was due yet.")
        return Health(State.NEVER_TRIED, "off", _("○ Ready"), why, _("Send a test event to see whether it works."))
    return _working(facts, now)


def _working(facts: Facts, now: datetime) -> Health:
    trouble = facts.trouble
    if not trouble and facts.failing_since is not None:
        trouble = ngettext(
            "The last event was not taken: {error}", "The last {count} events were not taken: {error}",
            max(1, facts.failing_rows),
        ).format(count=facts.failing_rows, error=_ended(facts.last_error))  # fmt: skip
    elif not trouble and facts.gave_up_at is not None and now - facts.gave_up_at < LONG_TIME:
        trouble = _("Events were given up within the last day, others were taken. The last error: {error}")
        trouble = trouble.format(error=_ended(facts.last_error))
    elif trouble and facts.last_error:
        trouble = _("{trouble} The last error: {error}").format(trouble=trouble, error=_ended(facts.last_error))
    if facts.pull_error:
        trouble = " ".join(filter(None, (trouble, _("Pulling fails: {error}").format(error=facts.pull_error))))
    if trouble:
        since = facts.last_success_at
        to_do = _("Look at its deliveries that failed or wait for a retry.") if not facts.pull_error else ""
        return Health(State.WORKING, "warn", _("⚠ Works in part"), trouble, to_do, since, is_partial=True)
    return Health(State.WORKING, "ok", _("✓ Working"), _("What is due arrives."), since=facts.last_success_at)


def _by_connection(facts: Facts, fault: Fault, until: datetime | None) -> Health:
    """Judge what nothing is sent to: what pulls, calls and tests have shown."""
    if facts.refusals:
        why = ngettext("It refused us {count} time in a row.", "It refused us {count} times in a row.", facts.refusals)
        why = why.format(count=facts.refusals)
        to_do = _to_do(facts, fault) or _("Look at the credentials and the settings.")
        return Health(State.FAILING, "bad", _("✗ Refused"), why, to_do, facts.refused_at, until, fault)
    if facts.pull_error:
        since, to_do = facts.pulled_at, _("Look at its pulls; each is tried again by itself if it has an interval.")
        return Health(State.FAILING, "bad", _("✗ Failing"), facts.pull_error, to_do, since, until, fault)
    if facts.times_opened:
        why, since = _sentence(facts.pause_reason), facts.opened_at
        to_do = _to_do(facts, fault)
        return Health(State.FAILING, "bad", _("✗ Failing"), why, to_do, since, until, fault)
    if until is not None:
        to_do = _("It goes on by itself.")
        return Health(State.RESTING, "warn", _("⚠ Resting"), _sentence(facts.pause_reason), to_do, until=until)
    if facts.pulled_at is not None and (facts.is_connected or facts.last_test_at is None):
        return Health(State.WORKING, "ok", _("✓ Working"), _("What was asked for came."), since=facts.pulled_at)
    if facts.is_connected:
        return Health(State.WORKING, "ok", _("✓ Connected"), _("The last test passed."), since=facts.last_test_at)
    if facts.last_test_at is None:
        why = _("Until a test has passed, nothing is pulled.")
        return Health(State.NEVER_TRIED, "off", _("○ Not tested"), why, _("Test the connection."))
    why = _("The last test did not pass.")
    return Health(State.FAILING, "bad", _("✗ Failing"), why, _("Test the connection to see what it says."), None)


def _is_failing(facts: Facts) -> bool:
    if facts.times_opened:
        return True
    if facts.failing_since is None:
        return False
    span = (facts.last_failure_at or facts.failing_since) - facts.failing_since
    return (
        facts.failing_attempts >= AGAINST_DESTINATION
        or facts.failing_rows >= MANY_EVENTS
        or (facts.failing_rows >= SOME_EVENTS and span >= SOME_TIME)
        or span >= LONG_TIME
    )


def _was_tested_since(facts: Facts) -> bool:
    """Tell whether an event was sent there for a test, and taken, after the last that failed."""
    if not (facts.test_sends_event and facts.is_connected and facts.last_test_at):
        return False
    return facts.last_failure_at is not None and facts.last_test_at > facts.last_failure_at


def _was_changed_since(facts: Facts) -> bool:
    failed, changed = facts.last_failure_at, facts.changed_at
    return failed is not None and changed is not None and changed > failed


def _fault(facts: Facts) -> Fault:
    if not facts.is_active:
        return Fault.NOBODY
    if facts.refusals:
        return Fault.SET_UP if facts.is_set_up_at_fault else Fault.CREDENTIALS
    if not facts.is_enabled:
        return Fault.GONE if facts.disabled_reason else Fault.NOBODY
    if facts.attention:
        return Fault.NOBODY
    return Fault.DESTINATION if facts.times_opened or facts.failing_attempts >= AGAINST_DESTINATION else Fault.NOBODY


def _to_do(facts: Facts, fault: Fault) -> str:
    """Say what a person can do about it, "" if nobody knows whose fault it is."""
    if fault is Fault.GONE:
        return _("Nobody takes events at this address any more: enter another one, then re-enable it.")
    if fault is Fault.CREDENTIALS:
        if facts.is_enabled:
            return _(
                "The credentials are at fault: enter the right ones, then resume it; it also tries again by itself."
            )
        return _("The credentials are at fault: enter the right ones, then re-enable it.")
    if fault is Fault.SET_UP:
        if facts.is_enabled:
            return _(
                "The account or the settings are at fault: mend what it says, then resume it; it also tries again by "
                "itself."
            )
        return _("The account or the settings are at fault: mend what it says, then re-enable it.")
    if fault is Fault.DESTINATION:
        return _("The destination is at fault: it is asked again by itself. Resume asks it at once.")
    return ""


def _ended(text: str) -> str:
    """Return `text` with a full stop. It may begin with a host, which keeps its letters."""
    text = text.strip()
    return f"{text.removesuffix('.')}." if text else ""


def _sentence(text: str) -> str:
    """Return words of ours as a sentence."""
    text = _ended(text)
    return f"{text[0].upper()}{text[1:]}" if text else ""
