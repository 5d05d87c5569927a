"""What failures say: about a row alone, or about the destination. Pure.

    closed ── 5 temporary failures in a row, 5 others asked and failing too ──► open ── pause over ──► probe
       ▲                                                                          ▲                      │
       └────────────────── anything that is taken ────────────────────────────────┼── all asked fail: pause × 2

A row's failure is evidence against the destination only if nothing was taken since that row failed last. Before the
lane rests, others that are due are asked, chosen at random in each fifth of what waits: twenty bad payloads before
twenty good ones are no outage.

Refused credentials (401, 403) prove nothing about the credentials while others are taken. A refusal of the lane is one
after which nobody else was taken; the lane rests 5 s after the first and a minute after the second, and the third
disables the integration. One object alone disables nothing, unless nothing was ever taken with these settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from integrations import conf
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationNotConnected,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.retry_policy import asked_seconds

from .circuit_breaker import ASKED, CircuitBreaker
from .outcome import Outcome

OTHERS = 5  # how many are asked before the lane rests
TRUSTED_REFUSALS = 5  # refused requests, in a row, that make the first refusal of a lane that worked within the hour
REFUSED_RESTS = (5.0, 60.0)  # seconds, after the first and the second refusal of the lane
TRUST_SECONDS = 3600.0  # how long a success with the same settings speaks for the credentials


@dataclass(slots=True)
class Verdict:
    """Judges the outcomes of one slice, one after the other.

    Attributes:
        refusals: of the lane, in a row.
        refused_object: the object of the last one.
        is_trusted: the destination took something within the hour with these settings.
        was_ever_taken: it took something with these settings.
        doubt: why others must be asked now: "" (no), "failing", "refused".
        halted: why the rest of the slice is left alone; "" while it goes on.
        wait: seconds that the lane must rest after this slice, for `wait_reason`; None: it need not.
        taken: how many were taken in this slice.
    """

    breaker: CircuitBreaker
    refusals: int = 0
    refused_object: str = ""
    is_trusted: bool = False
    was_ever_taken: bool = False
    doubt: str = ""
    halted: str = ""
    wait: float | None = None
    wait_reason: str = ""
    taken: int = 0
    _noted: int = 0  # requests in this slice
    _tries: int = 0  # requests in this doubt
    _refused: list[str] = field(default_factory=list)  # objects that were refused in this doubt

    def __post_init__(self) -> None:
        if self.refusals:
            self.doubt = "refused"
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
        self._noted += 1
        self._tries += bool(self.doubt)
        if error is None:
            self._was_taken()
        elif isinstance(error, IntegrationNotConnected):  # it ended meanwhile; the next turn says so to people
            self.halted = "not connected"
            self.rest(REFUSED_RESTS[0], error.message)
        elif isinstance(error, IntegrationAuthError):
            self._was_refused(result.row.object_key)
        elif isinstance(error, IntegrationGone):
            self.halted = "gone"
        elif isinstance(error, IntegrationRateLimited):
            self.halted = "rate limited"
            self.rest(_wish(error, result), f"{ASKED} to slow down")
        elif isinstance(error, IntegrationTemporaryError):
            self._failed(error, result)

    def conclude(self) -> None:
        """Nobody is left to be asked, and nobody was taken: the doubt becomes a verdict."""
        doubt, self.doubt = self.doubt, ""
        if not doubt or self.halted or not self._noted:
            return  # or nobody was there to be asked: somebody has cancelled what was due
        if doubt == "refused" and self._refused:
            self._judge_refusals()
        elif doubt == "failing" or self.breaker.is_in_doubt:
            self.breaker.open()
            self.halted = "breaker"
        else:  # refused before, failing otherwise now: nothing new is known of the credentials
            self._refuse(REFUSED_RESTS[0])

    def rest(self, seconds: float, reason: str) -> None:
        """Let the lane rest for at least `seconds` after this slice."""
        self.wait, self.wait_reason = max((self.wait or 0.0, self.wait_reason), (seconds, reason))

    def _was_taken(self) -> None:
        self.taken += 1
        self.breaker.succeeded()
        self.refusals, self.refused_object = 0, ""
        self.is_trusted = self.was_ever_taken = True
        self.doubt = ""

    def _failed(self, error: IntegrationTemporaryError, result: Outcome) -> None:
        is_cleared = result.row.has_failed and (result.row.is_cleared or self.taken > 0)
        if not is_cleared:
            self.breaker.failed()
        if asked_seconds(error.retry_after):
            self.halted = "asked to wait"
            self.rest(_wish(error, result), f"{ASKED} to wait")
        elif not self.doubt and self.breaker.is_in_doubt:
            self.doubt, self._tries, self._refused = "failing", 0, []

    def _was_refused(self, object_key: str) -> None:
        if self.doubt != "refused":
            self.doubt, self._tries, self._refused = "refused", 1, []
        self._refused.append(object_key)

    def _judge_refusals(self) -> None:
        """Count what was refused in this doubt as one refusal of the lane."""
        objects = set(self._refused)
        if self.refusals and objects == {self.refused_object} and self.was_ever_taken:
            return  # the same object again, and nobody else to ask: that row's own trouble
        self.refusals += 1
        self.refused_object = self._refused[-1]
        if self.refusals >= conf.AUTH_FAILURES_TO_DISABLE:
            self.halted = "auth"
        elif self.refusals > 1 or len(objects) > 1 or not self.is_trusted:
            self._refuse(REFUSED_RESTS[min(self.refusals, len(REFUSED_RESTS)) - 1])

    def _refuse(self, seconds: float) -> None:
        self.halted = "refused"
        self.rest(seconds, f"the destination refused our credentials ({self.refusals} in a row)")


def _wish(error: IntegrationError, result: Outcome) -> float:
    """How long the lane rests: what was asked for, also when this very row is not tried again."""
    asked = min(asked_seconds(error.retry_after), conf.RETRY_AFTER_CAP_SECONDS)
    return max(asked, result.retry_in or 0.0) or conf.RETRY_BASE_SECONDS
