"""Evenly spaced requests for destinations with a rate limit.

One holder per lane, so no distributed counter: the time of the next request is kept here while sending and on
the lane between slices. Calls book theirs on the lane (call_gate.py); what they booked meanwhile is added when the
slice is settled, so that both together keep the limit over any time longer than a slice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from integrations.connections.models import TenantIntegration
from integrations.connectors.manifest import Manifest


def interval_of(integration: TenantIntegration, manifest: Manifest) -> float:
    """Return the seconds between two requests, by the integration's own limit, or else the one that the provider's
    documentation states; 0: no limit."""
    limit = manifest.rate_limit
    per_minute = integration.rate_limit_per_minute or (limit.per_minute if limit else None)
    return 60 / per_minute if per_minute else 0.0


@dataclass(slots=True)
class Pacer:
    """Hands out start times `interval` seconds apart; thread-safe.

    Attributes:
        interval: seconds between two requests; 0: no limit.
        next_at: the earliest start of the next request, on the clock's scale.
        clock: returns seconds, monotonic.
    """

    interval: float
    next_at: float
    clock: Callable[[], float]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, longest: float) -> float | None:
        """Reserve the next start and return the seconds to wait for it, or None if that is over `longest`."""
        if not self.interval:
            return 0.0
        with self._lock:
            now = self.clock()
            start = max(now, self.next_at)
            if start - now > longest:
                return None
            self.next_at = start + self.interval
            return start - now
