"""What failures say: about a row alone, or about the destination. Pure.

    closed ── 5 temporary failures in a row, 5 others asked and failing too ──► open ── pause over ──► probe
       ▲                                                                          ▲                      │
       └────────────────── anything that is taken ────────────────────────────────┼── all asked fail: pause × 2

A row's failure is evidence against the destination only if nothing was taken since that row failed last. Before the
lane rests, others that are due are asked, chosen at random in each fifth of what waits: twenty bad payloads before
twenty good ones are no outage.

What is the set-up's fault (refused credentials, a channel that is gone) proves nothing while others are taken. A
refusal of the lane is one after which nobody else was taken; the lane rests 5 s after the first and a minute after the
second, and the third disables the integration. One object alone disables nothing, unless nothing was ever taken with
these settings.

What is an event's fault ends its row; but events that are rejected alike, one after the other with nothing taken
between, say that it is not theirs: others are asked, and if all are rejected like this, that is a refusal of the lane.
Where nothing was ever taken with these settings, it disables the integration at once. The rows of it wait after all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from integrations import conf
from integrations.connections.payloads import PayloadFailed
from integrations.errors import (
    EVENT,
    QUOTA,
    SETUP,
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationNotConnected,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.retry_policy import asked_seconds, wished_seconds

from .outcome import Outcome

OTHERS = 5  # how many are asked before the lane rests
TRUSTED_REFUSALS = 5  # refused requests, in a row, that make the first refusal of a lane that worked within the hour
REFUSED_RESTS = (5.0, 60.0)  # seconds, after the first and the second refusal of the lane
TRUST_SECONDS = 3600.0  # how long a success with the same settings speaks for the credentials

# How a lane's reasons to rest begin that hold for whoever asks this destination: calls and pulls, too (call_gate.py).
BREAKER_OPEN, ASKED, OWN_LIMIT = "circuit breaker", "the destination asked us", "its own rate limit"


@dataclass(slots=True)
class CircuitBreaker:
    """The breaker of one lane, loaded from its row and written back when a slice is settled.

    Attributes:
        failures: temporary failures in a row that speak against the destination.
        times_opened: how often it opened since the last success; 0 means closed.
        pause: seconds to pause, set by `open`; None while nothing opened.
    """

    failures: int = 0
    times_opened: int = 0
    pause: float | None = None

    @property
    def is_probing(self) -> bool:
        """True when it has opened and not yet seen a success: a few requests, one at a time."""
        return self.times_opened > 0

    @property
    def is_in_doubt(self) -> bool:
        """True when so much has failed that the destination may be down."""
        return self.is_probing or self.failures >= conf.BREAKER_FAILURES_TO_OPEN

    def succeeded(self) -> None:
        """The destination took something."""
        self.failures = 0
        self.times_opened = 0
        self.pause = None

    def failed(self) -> None:
        """A temporary failure that speaks against the destination: timeout, connection, 5xx."""
        self.failures += 1

    def open(self) -> None:
        """Pause: 30 s, doubling up to the cap; once per slice, however many fail in it."""
        if self.pause is None:
            exponent = min(self.times_opened, 32)
            self.pause = min(conf.BREAKER_PAUSE_CAP_SECONDS, conf.BREAKER_PAUSE_SECONDS * 2**exponent)
            self.times_opened += 1


@dataclass(slots=True)
class Verdict:
    """Judges the outcomes of one slice, one after the other.

    Attributes:
        refusals: of the lane, in a row.
        refused_object: the object of the last one.
        is_trusted: the destination took something within the hour with these settings.
        was_ever_taken: it took something with these settings.
        rejections: how many events were rejected alike, with nothing taken between.
        rejected_as: how; "" if none was.
        rejected_object: the object of the last one.
        doubt: why others must be asked now: "" (no), "failing", "refused", "rejected".
        halted: why the rest of the slice is left alone; "" while it goes on.
        why: what a person must mend, in words; "": the credentials.
        waiting: the ids of rows of this slice that wait, whatever their errors say: it was not their fault.
        wait: seconds that the lane must rest after this slice, for `wait_reason`; None: it need not.
        taken: how many were taken in this slice.
    """

    breaker: CircuitBreaker
    refusals: int = 0
    refused_object: str = ""
    is_trusted: bool = False
    was_ever_taken: bool = False
    rejections: int = 0
    rejected_as: str = ""
    rejected_object: str = ""
    doubt: str = ""
    halted: str = ""
    why: str = ""
    waiting: set[int] = field(default_factory=set)
    wait: float | None = None
    wait_reason: str = ""
    taken: int = 0
    _noted: int = 0  # requests in this slice
    _tries: int = 0  # requests in this doubt
    _refused: list[Outcome] = field(default_factory=list)  # in this doubt
    _rejected: dict[int, IntegrationError] = field(default_factory=dict)  # alike, of this slice; by row
    _alike: int = 0  # of the requests in this doubt

    def __post_init__(self) -> None:
        if self.refusals:
            self.doubt = "rejected" if self._is_rejecting else "refused"
        elif self.breaker.is_in_doubt:  # or time was up before others were asked
            self.doubt = "failing"

    @property
    def is_calm(self) -> bool:
        """True while nothing failed that could be the destination's fault: several may be asked at once."""
        return not (self.doubt or self.breaker.failures or self.refusals)

    @property
    def may_ask_another(self) -> bool:
        """True while the doubt is not answered and not all who should be asked were asked."""
        limit = OTHERS
        if self.doubt == "rejected" and self._tries > self._alike:
            return False  # one failed otherwise: it is not the same for all
        if self.doubt == "refused":  # each further request shows wrong credentials once more
            limit = TRUSTED_REFUSALS if self.is_trusted and not self.refusals else 1
        return bool(self.doubt) and not self.halted and self._tries < limit

    @property
    def pauses(self) -> bool:
        """True if the lane is to rest because of what the destination answered."""
        return self.wait is not None or self.breaker.pause is not None

    @property
    def has_asked(self) -> bool:
        """True if there is a doubt, and somebody was asked about it."""
        return bool(self.doubt) and self._tries > 0

    def note(self, result: Outcome) -> None:
        """Judge one outcome."""
        error = result.error
        if isinstance(error, PayloadFailed):
            return  # nothing was sent: it says nothing of the destination
        self._noted += 1
        self._tries += bool(self.doubt)
        if error is None:
            self._was_taken()
        elif isinstance(error, IntegrationNotConnected):  # it ended meanwhile; the next turn says so to people
            self.halted = "not connected"
            self.rest(REFUSED_RESTS[0], error.message)
        elif error.fault == QUOTA:
            self.halted = "quota"
            asked = f"{ASKED} to wait: " if asked_seconds(error.retry_after) else ""  # an hour is our own guess
            self.rest(_wish(error, result), asked + error.message)
        elif isinstance(error, IntegrationGone):
            self.halted = "gone"
        elif error.fault == SETUP:
            if self.doubt != "refused":
                self._doubt("refused", tries=1)
            self._refused.append(result)
        elif isinstance(error, IntegrationRateLimited):
            self.halted = "rate limited"
            self.rest(_wish(error, result), f"{ASKED} to slow down")
        elif isinstance(error, IntegrationTemporaryError):
            self._failed(error, result)
        elif result.is_final:
            self._was_rejected(error, result)

    def conclude(self) -> None:
        """Nobody is left to be asked, and nobody was taken: the doubt becomes a verdict."""
        doubt, self.doubt = self.doubt, ""
        if not doubt or self.halted or not self._noted:
            return  # or nobody was there to be asked: somebody has cancelled what was due
        if doubt == "refused" and self._refused:
            self._judge_refusals()
        elif doubt == "rejected" and self._rejected and self._tries == self._alike:
            self._judge_rejections()
        elif doubt == "failing" or self.breaker.is_in_doubt:
            self.breaker.open()
            self.halted = "breaker"
        elif self.refusals:  # refused before, failing otherwise now: nothing new is known of the set-up
            self._refuse(REFUSED_RESTS[0])

    def all_returned(self) -> None:
        """Forget how many were asked: those who were under way when events began to be rejected alike were not."""
        if self.doubt == "rejected":
            self._tries = self._alike = 0

    def rest(self, seconds: float, reason: str) -> None:
        """Let the lane rest for at least `seconds` after this slice.

        Of several reasons the one that holds for calls too is kept: that the destination asked for it.
        """
        longest = max((self.wait or 0.0, self.wait_reason), (seconds, reason))
        asked = next((each for each in (longest[1], self.wait_reason, reason) if each.startswith(ASKED)), "")
        self.wait, self.wait_reason = longest[0], asked or longest[1]

    def _was_taken(self) -> None:
        self.taken += 1
        self.breaker.succeeded()
        self.refusals, self.refused_object = 0, ""
        self.rejections, self.rejected_as, self.rejected_object = 0, "", ""
        self._rejected.clear()
        self.is_trusted = self.was_ever_taken = True
        self.doubt = ""

    def _failed(self, error: IntegrationTemporaryError, result: Outcome) -> None:
        if error.progress:  # part of it was taken
            self._was_taken()
        is_cleared = result.row.has_failed and (result.row.is_cleared or self.taken > 0)
        if not is_cleared and error.fault != EVENT:
            self.breaker.failed()
        if asked_seconds(error.retry_after):
            self.halted = "asked to wait"
            self.rest(_wish(error, result), f"{ASKED} to wait")
        elif not self.doubt and self.breaker.is_in_doubt:
            self._doubt("failing")

    def _was_rejected(self, error: IntegrationError, result: Outcome) -> None:
        """Count an event that was rejected as those before it; a row counts once, an object once in a row."""
        as_what = f"{type(error).__name__} {error.code} {error.status or ''}"[:100]
        if as_what != self.rejected_as:
            self._rejected.clear()
            self.rejections, self.rejected_as, self.rejected_object = 0, as_what, ""
        else:
            self._alike += bool(self.doubt)
        object_key = result.row.object_key
        if result.row.id not in self._rejected and (object_key != self.rejected_object or not self.was_ever_taken):
            self.rejections, self.rejected_object = self.rejections + 1, object_key
        self._rejected[result.row.id] = error
        if not self.doubt and self._is_rejecting:
            self._doubt("rejected")

    @property
    def _is_rejecting(self) -> bool:
        return self.rejections >= conf.AUTH_FAILURES_TO_DISABLE

    def _doubt(self, why: str, *, tries: int = 0) -> None:
        self.doubt, self._tries, self._alike, self._refused = why, tries, 0, []

    def _judge_refusals(self) -> None:
        """Count what was refused in this doubt as one refusal of the lane."""
        objects = {result.row.object_key for result in self._refused}
        if self.refusals and objects == {self.refused_object} and self.was_ever_taken:
            return  # the same object again, and nobody else to ask: that row's own trouble
        self.refusals += 1
        self.refused_object = self._refused[-1].row.object_key
        self._stop_or_rest(self._refused[-1].error, rests=len(objects) > 1 or not self.is_trusted)
        if self.halted in ("auth", "setup"):
            self.waiting.update(result.row.id for result in self._refused)

    def _judge_rejections(self) -> None:
        """Count what was rejected alike as one refusal of the lane, or as all of them if nothing was ever taken."""
        self.refusals = self.refusals + 1 if self.was_ever_taken else conf.AUTH_FAILURES_TO_DISABLE
        self.refused_object = self.rejected_object
        self.waiting.update(self._rejected)
        self._stop_or_rest(next(reversed(self._rejected.values())), rests=True)
        self.why += f"; {self.rejections} events in a row were refused like this, and nothing was taken between"

    def _stop_or_rest(self, error: IntegrationError | None, *, rests: bool) -> None:
        is_auth = error is None or isinstance(error, IntegrationAuthError)
        self.why = "" if is_auth or error is None else error.message
        if self.refusals >= conf.AUTH_FAILURES_TO_DISABLE:
            self.halted = "auth" if is_auth else "setup"
        elif self.refusals > 1 or rests:
            self._refuse(REFUSED_RESTS[min(self.refusals, len(REFUSED_RESTS)) - 1])

    def _refuse(self, seconds: float) -> None:
        self.halted = "refused"
        self.rest(seconds, f"{self.why or 'the destination refused our credentials'} ({self.refusals} in a row)")


def _wish(error: IntegrationError, result: Outcome) -> float:
    """How long the lane rests: what was asked for, also when this very row is not tried again."""
    asked = min(wished_seconds(error), conf.RETRY_AFTER_CAP_SECONDS)
    return max(asked, result.retry_in or 0.0) or conf.RETRY_BASE_SECONDS
