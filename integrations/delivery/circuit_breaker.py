"""When to stop hammering a destination: outcomes in, a pause out. Pure.

    closed ── 5 temporary failures in a row ──► open ── pause over ──► one probe (half-open)
       ▲                                          ▲                        │
       └────────────── success ───────────────────┼── failure, pause × 2 ──┘

A deferred row spends no attempt. Wrong credentials are counted elsewhere: they end with a person, not a pause.
"""

from __future__ import annotations

from dataclasses import dataclass

from integrations import conf


@dataclass(slots=True)
class CircuitBreaker:
    """The breaker of one lane, loaded from its row and written back when a slice is settled.

    Attributes:
        failures: temporary failures in a row.
        times_opened: how often it opened since the last success; 0 means closed.
        pause: seconds to pause, set by the failure that opened it; None while nothing opened.
    """

    failures: int = 0
    times_opened: int = 0
    pause: float | None = None

    @property
    def is_probing(self) -> bool:
        """True when it has opened and not yet seen a success: one request at a time."""
        return self.times_opened > 0

    def succeeded(self) -> None:
        """The destination answered as it should."""
        self.failures = 0
        self.times_opened = 0
        self.pause = None

    def failed(self) -> None:
        """A temporary failure: timeout, connection, 5xx."""
        self.failures += 1
        if self.pause is None and (self.is_probing or self.failures >= conf.BREAKER_FAILURES_TO_OPEN):
            exponent = min(self.times_opened, 32)
            self.pause = min(conf.BREAKER_PAUSE_CAP_SECONDS, conf.BREAKER_PAUSE_SECONDS * 2**exponent)
            self.times_opened += 1
