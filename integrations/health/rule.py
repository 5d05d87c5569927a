"""How is an integration? Judged by what became of its events, never by what it is meant to be. Pure.

    being deleted > off > disabled > not connected yet > paused > needs attention > failing > resting
                                                                   > no events > never tried > working

The first that is true is said: `RULE` has all that there is, in that order. It is written once, in conditions that are
asked of the facts about one integration (`judge`, which adds the words) and of a table (query.py, for lists).

*Failing* needs evidence against the destination: nothing was taken since `Facts.failing_since`, and one of these is
true:

    nothing was ever taken · the breaker is open · 2 attempts failed in a way that is not the event's fault
    3 events failed over ten minutes · 10 events failed · what failed spans a day

Anything that is taken ends it. A receiver that takes some events and refuses others works, in part: it takes the one or
two that fail now and then, and the words beside it say which they are. A destination that asks us to slow down does not
fail; it rests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Literal

from django.utils.translation import get_language, gettext, ngettext

from .conditions import (
    Condition,
    at_least,
    is_after,
    is_known,
    is_later_than_now,
    is_said,
    is_true,
    lies_behind,
)

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


# A person would say of these that it is broken: events that are due do not arrive, and nobody wanted that.
BROKEN = frozenset((State.FAILING, State.DISABLED, State.ATTENTION))


class Case(Enum):
    """How an integration may be, more finely than one word says it: each has words of its own.

    Attributes:
        number: what stands for it in a query.
        is_partial: it works, but something fails beside what is taken.
    """

    DELETING = 0, State.DELETING
    OFF = 1, State.OFF
    DISABLED = 2, State.DISABLED
    NO_CONNECTOR = 3, State.ATTENTION
    NOT_CONNECTED = 4, State.NOT_CONNECTED
    PAUSED = 5, State.PAUSED
    ATTENTION = 6, State.ATTENTION
    # Of those that events are sent to:
    TEST_PASSED = 7, State.WORKING, True
    FAILING = 8, State.FAILING
    RESTING = 9, State.RESTING
    NO_EVENTS = 10, State.NO_EVENTS
    NOTHING_DUE = 11, State.NEVER_TRIED
    IN_PART = 12, State.WORKING, True
    WORKING = 13, State.WORKING
    # Of those that are read from, or only call us:
    REFUSED = 14, State.FAILING
    PULL_FAILS = 15, State.FAILING
    CALLS_FAIL = 16, State.FAILING
    CALLS_REST = 17, State.RESTING
    PULLED = 18, State.WORKING
    CONNECTED = 19, State.WORKING
    NOT_TESTED = 20, State.NEVER_TRIED
    TEST_FAILED = 21, State.FAILING

    def __init__(self, number: int, state: State, is_partial: bool = False) -> None:
        self.number, self.state, self.is_partial = number, state, is_partial


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

    @property
    def pull_fails(self) -> bool:
        return bool(self.pull_error)

    @property
    def was_pulled(self) -> bool:
        return self.pulled_at is not None


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of a case, in words.

    Attributes:
        label: one or two words with their symbol, for a badge; `kind` is its colour.
        since: when that began; None: it has no beginning, or nobody wrote it down.
        until: when the lane goes on by itself; None: it does not rest, or not by itself.
        why: a sentence; for what fails, the last error.
        what_to_do: a sentence for a person; "" if there is nothing to be done.
    """

    kind: Kind
    label: str
    why: str = ""
    what_to_do: str = ""
    since: datetime | None = None
    until: datetime | None = None
    fault: Fault = Fault.NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Health(_Said):
    """What is said of an integration.

    Attributes:
        is_partial: it works, but something fails beside what is taken.
    """

    state: State
    is_partial: bool = False

    @property
    def is_failing(self) -> bool:
        """True if a person would say that it is broken: events that are due do not arrive, and nobody wanted that."""
        return self.state in BROKEN


_RESTS = is_later_than_now("paused_until")
_FAILS_NOW = is_known("failing_since")  # nothing was taken since then
_WAS_TAKEN = is_known("last_success_at")
_IS_FAILING = at_least("times_opened", 1) | _FAILS_NOW & (
    at_least("failing_attempts", AGAINST_DESTINATION)
    | at_least("failing_rows", MANY_EVENTS)
    | at_least("failing_rows", SOME_EVENTS) & lies_behind("last_failure_at", "failing_since", SOME_TIME)
    | lies_behind("last_failure_at", "failing_since", LONG_TIME)
)
# An event was sent there for a test, and taken, after the last that failed.
_TESTED_SINCE = is_true("test_sends_event") & is_true("is_connected") & is_after("last_test_at", "last_failure_at")
_GAVE_UP_LATELY = is_later_than_now("gave_up_at", less=LONG_TIME)
_TAKES_EVENTS = is_true("takes_events")

# The first that holds is said; `Case.TEST_FAILED` if none does.
RULE: tuple[tuple[Case, Condition], ...] = (
    (Case.DELETING, is_known("deleting_since")),
    (Case.OFF, ~is_true("is_active")),
    (Case.DISABLED, ~is_true("is_enabled")),
    (Case.NO_CONNECTOR, ~is_true("is_installed")),
    (Case.NOT_CONNECTED, is_true("awaits_connection")),
    (Case.PAUSED, is_known("paused_since")),
    (Case.ATTENTION, is_said("attention")),
    (Case.TEST_PASSED, _TAKES_EVENTS & (_IS_FAILING | _FAILS_NOW) & _TESTED_SINCE),
    # Where nothing was ever taken, one failure is enough, unless it was a request to slow down.
    (Case.FAILING, _TAKES_EVENTS & (_IS_FAILING | _FAILS_NOW & ~_WAS_TAKEN & ~_RESTS)),
    (Case.RESTING, _TAKES_EVENTS & _RESTS),
    (Case.NO_EVENTS, _TAKES_EVENTS & is_true("wants_events") & ~is_true("is_subscribed")),
    (Case.NOTHING_DUE, _TAKES_EVENTS & ~_WAS_TAKEN),
    (Case.IN_PART, _TAKES_EVENTS & (is_said("trouble") | _FAILS_NOW | _GAVE_UP_LATELY | is_true("pull_fails"))),
    (Case.WORKING, _TAKES_EVENTS),
    (Case.REFUSED, at_least("refusals", 1)),
    (Case.PULL_FAILS, is_true("pull_fails")),
    (Case.CALLS_FAIL, at_least("times_opened", 1)),
    (Case.CALLS_REST, _RESTS),
    (Case.PULLED, is_true("was_pulled") & (is_true("is_connected") | ~is_known("last_test_at"))),
    (Case.CONNECTED, is_true("is_connected")),
    (Case.NOT_TESTED, ~is_known("last_test_at")),
)
OTHERWISE = Case.TEST_FAILED


def case_of(facts: Facts, now: datetime) -> Case:
    """Return how the integration is at `now`, without words."""
    return next((case for case, condition in RULE if condition.holds(facts, now)), OTHERWISE)


def judge(facts: Facts, now: datetime) -> Health:
    """Return how the integration is at `now`, in words."""
    case = case_of(facts, now)
    said = _WORDS[case](facts, now)
    words = {each.name: getattr(said, each.name) for each in fields(said)}
    return Health(state=case.state, is_partial=case.is_partial, **words)


def _until(facts: Facts, now: datetime) -> datetime | None:
    return facts.paused_until if _RESTS.holds(facts, now) else None


def _deleting(facts: Facts, now: datetime) -> _Said:
    why = _("It is {how_far}. Nothing is recorded for it or sent any more.").format(how_far=facts.deleting)
    label = f"– {(facts.deleting or _('being deleted')).capitalize()}"
    return _Said("off", label, why, since=facts.deleting_since)


def _off(facts: Facts, now: datetime) -> _Said:
    why = _("The tenant switched it off: nothing is recorded for it or sent.")
    return _Said("off", _("– Off"), why, _("Switch it on in its settings."))


def _disabled(facts: Facts, now: datetime) -> _Said:
    fault = _fault(facts)
    why = facts.disabled_reason or _("It was switched off.")
    to_do = _to_do(facts, fault)
    if not facts.disabled_reason and facts.is_connected:
        why, to_do = _("It was disabled; a test has passed since then."), _("Re-enable it: what is pending goes out.")
    since = facts.refused_at if facts.refusals else facts.last_failure_at
    return _Said("bad", _("✗ Disabled"), why, to_do or _("Re-enable it."), since, fault=fault)


def _no_connector(facts: Facts, now: datetime) -> _Said:
    why = _("No connector called {name} is installed. What is configured is kept.").format(name=facts.connector)
    return _Said("bad", _("✗ No connector"), why, _("Install it, or one of the same name."))


def _not_connected(facts: Facts, now: datetime) -> _Said:
    why = _("Nobody has agreed to the access at the provider yet. Until then events wait.")
    to_do = _("Press Connect on its page and agree at the provider.")
    return _Said("warn", _("○ Not connected yet"), why, to_do)


def _paused(facts: Facts, now: datetime) -> _Said:
    why = _("Paused by {name}: events wait, and no attempt is lost.").format(name=facts.paused_by)
    return _Said("warn", _("⚠ Paused"), why, _("Press Resume."), since=facts.paused_since)


def _attention(facts: Facts, now: datetime) -> _Said:
    fault = _fault(facts)
    to_do = _to_do(facts, fault) or _("Mend what it says, then resume it.")
    until = _until(facts, now)
    return _Said("bad", _("✗ Needs attention"), facts.attention, to_do, facts.failing_since, until, fault)


def _test_passed(facts: Facts, now: datetime) -> _Said:
    why = _("A test event was taken, but no event since. Before that: {error}")
    why = why.format(error=_ended(facts.last_error))
    to_do = _("Retry what failed or waits, or let the next event show it.")
    return _Said("warn", _("⚠ Test passed"), why, to_do, facts.last_test_at, _until(facts, now))


def _failing(facts: Facts, now: datetime) -> _Said:
    fault = _fault(facts)
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
    return _Said("bad", _("✗ Failing"), why, to_do, since, _until(facts, now), fault)


def _resting(facts: Facts, now: datetime) -> _Said:
    to_do = _("It goes on by itself. Resume sends at once.")
    why = _sentence(facts.pause_reason) or _("The lane rests.")
    return _Said("warn", _("⚠ Resting"), why, to_do, until=_until(facts, now), fault=_fault(facts))


def _no_events(facts: Facts, now: datetime) -> _Said:
    why = _("Nothing is sent: no event type is ticked.")
    return _Said("off", _("– No events"), why, _("Tick the events that it is to get."))


def _nothing_due(facts: Facts, now: datetime) -> _Said:
    why = _("A test has passed; no event was due yet.") if facts.is_connected else _("Nothing was due yet.")
    return _Said("off", _("○ Ready"), why, _("Send a test event to see whether it works."))


def _in_part(facts: Facts, now: datetime) -> _Said:
    trouble = facts.trouble
    if not trouble and facts.failing_since is not None:
        trouble = ngettext(
            "The last event was not taken: {error}", "The last {count} events were not taken: {error}",
            max(1, facts.failing_rows),
        ).format(count=facts.failing_rows, error=_ended(facts.last_error))  # fmt: skip
    elif not trouble and _GAVE_UP_LATELY.holds(facts, now):
        trouble = _("Events were given up within the last day, others were taken. The last error: {error}")
        trouble = trouble.format(error=_ended(facts.last_error))
    elif trouble and facts.last_error:
        trouble = _("{trouble} The last error: {error}").format(trouble=trouble, error=_ended(facts.last_error))
    if facts.pull_error:
        trouble = " ".join(filter(None, (trouble, _("Pulling fails: {error}").format(error=facts.pull_error))))
    to_do = _("Look at its deliveries that failed or wait for a retry.") if not facts.pull_error else ""
    return _Said("warn", _("⚠ Works in part"), trouble, to_do, facts.last_success_at)


def _working(facts: Facts, now: datetime) -> _Said:
    return _Said("ok", _("✓ Working"), _("What is due arrives."), since=facts.last_success_at)


def _refused(facts: Facts, now: datetime) -> _Said:
    fault = _fault(facts)
    why = ngettext("It refused us {count} time in a row.", "It refused us {count} times in a row.", facts.refusals)
    why = why.format(count=facts.refusals)
    to_do = _to_do(facts, fault) or _("Look at the credentials and the settings.")
    return _Said("bad", _("✗ Refused"), why, to_do, facts.refused_at, _until(facts, now), fault)


def _pull_fails(facts: Facts, now: datetime) -> _Said:
    to_do = _("Look at its pulls; each is tried again by itself if it has an interval.")
    until = _until(facts, now)
    return _Said("bad", _("✗ Failing"), facts.pull_error, to_do, facts.pulled_at, until, _fault(facts))


def _calls_fail(facts: Facts, now: datetime) -> _Said:
    fault, why = _fault(facts), _sentence(facts.pause_reason)
    return _Said("bad", _("✗ Failing"), why, _to_do(facts, fault), facts.opened_at, _until(facts, now), fault)


def _calls_rest(facts: Facts, now: datetime) -> _Said:
    to_do = _("It goes on by itself.")
    return _Said("warn", _("⚠ Resting"), _sentence(facts.pause_reason), to_do, until=_until(facts, now))


def _pulled(facts: Facts, now: datetime) -> _Said:
    return _Said("ok", _("✓ Working"), _("What was asked for came."), since=facts.pulled_at)


def _connected(facts: Facts, now: datetime) -> _Said:
    return _Said("ok", _("✓ Connected"), _("The last test passed."), since=facts.last_test_at)


def _not_tested(facts: Facts, now: datetime) -> _Said:
    why = _("Until a test has passed, nothing is pulled.")
    return _Said("off", _("○ Not tested"), why, _("Test the connection."))


def _test_failed(facts: Facts, now: datetime) -> _Said:
    why = _("The last test did not pass.")
    return _Said("bad", _("✗ Failing"), why, _("Test the connection to see what it says."))


_WORDS: dict[Case, Callable[[Facts, datetime], _Said]] = {
    Case.DELETING: _deleting,
    Case.OFF: _off,
    Case.DISABLED: _disabled,
    Case.NO_CONNECTOR: _no_connector,
    Case.NOT_CONNECTED: _not_connected,
    Case.PAUSED: _paused,
    Case.ATTENTION: _attention,
    Case.TEST_PASSED: _test_passed,
    Case.FAILING: _failing,
    Case.RESTING: _resting,
    Case.NO_EVENTS: _no_events,
    Case.NOTHING_DUE: _nothing_due,
    Case.IN_PART: _in_part,
    Case.WORKING: _working,
    Case.REFUSED: _refused,
    Case.PULL_FAILS: _pull_fails,
    Case.CALLS_FAIL: _calls_fail,
    Case.CALLS_REST: _calls_rest,
    Case.PULLED: _pulled,
    Case.CONNECTED: _connected,
    Case.NOT_TESTED: _not_tested,
    Case.TEST_FAILED: _test_failed,
}


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
