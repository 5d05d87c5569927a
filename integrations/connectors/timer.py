"""How long something took."""

from __future__ import annotations

import time


class Timer:
    """Milliseconds since it was started; stands still when its block ends, also by an exception."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._ended: float | None = None

    def stop(self) -> None:
        self._ended = time.perf_counter()

    @property
    def latency_ms(self) -> float:
        return ((self._ended or time.perf_counter()) - self._started) * 1000
