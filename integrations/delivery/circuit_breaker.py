"""When to stop hammering a destination: how long a lane rests, each time twice as long. Pure.

Who is to blame for a failure is verdicts.py's question; a deferred row spends no attempt.
"""

from __future__ import annotations

from dataclasses import dataclass

from integrations import conf

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
