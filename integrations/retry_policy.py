"""When to try again: attempt, error, age and chance in; a delay or "give up" out. Pure.

    webhook   15 s, 30 s, 1 min, … doubling up to 6 h, 24 attempts, about three days: a lane's rows
    push      1, 2, 4 s: an order that somebody waits for
    http      0.5, 1, 2 s: calls through the HTTPClient that somebody waits for

They never multiply: a connector in a lane sends once, and the lane decides when again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from integrations import conf
from integrations.errors import (
    QUOTA,
    SETUP,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)

QUOTA_SECONDS = 3600.0  # how long a used-up quota rests where nobody says how long


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter.

    Attributes:
        base, cap: seconds; the delay after attempt n is ``min(cap, base * factor ** (n - 1))``.
        jitter: part of the delay by which it may vary, up or down.
        max_attempts: attempts in all, the first included.
        max_age: seconds since the row was made after which no further attempt is scheduled.
        retry_after_cap: seconds; a longer Retry-After is cut to this.
        repeats_answers: any answer that is no success is tried again, 410 apart: a receiver that is being deployed says
            404, one with a mistake 400, and both are mended within days.
        repeats_auth: what a person must mend (credentials, set-up), or what time brings back (a quota), is tried again.
        chance: returns a float in [0, 1).
    """

    base: float
    factor: float
    cap: float
    jitter: float
    max_attempts: int
    max_age: float
    retry_after_cap: float = 86400.0
    repeats_auth: bool = True
    repeats_answers: bool = False
    chance: Callable[[], float] = random.random

    def delay(self, attempt: int, error: IntegrationError, age: float) -> float | None:
        """Return the seconds to wait after failed attempt number `attempt` (1 = first), or None: give up.

        Args:
            error: what happened; permanent errors are not repeated (see `repeats_answers`), and `error.retry_after`
                is a floor.
            age: seconds since the row was made.
        """
        waits = error.fault in (SETUP, QUOTA)
        if waits and not isinstance(error, IntegrationRateLimited | IntegrationTemporaryError):
            if not self.repeats_auth:
                return None
        elif isinstance(error, IntegrationPermanentError) and not self._is_answer(error):
            return None
        if attempt >= self.max_attempts:
            return None
        # Credentials and set-up are mended by a person, and people take days; a quota may last for some: the row waits.
        if age >= self.max_age and not waits:
            return None
        exponent = min(attempt - 1, 64)  # 2 ** 1000 would overflow a float
        delay = min(self.cap, self.base * self.factor**exponent)
        wish = min(wished_seconds(error), self.retry_after_cap)
        if wish > delay:
            # Only upwards: a Retry-After is never undercut.
            return wish * (1 + self.jitter * self.chance() / 2)
        return max(wish, delay * (1 + self.jitter * (2 * self.chance() - 1)))

    def _is_answer(self, error: IntegrationError) -> bool:
        """Tell whether the receiver may answer otherwise tomorrow; what our own guard refuses has no status."""
        return self.repeats_answers and error.status is not None and not isinstance(error, IntegrationGone)


def asked_seconds(retry_after: object) -> float:
    """Return what was asked for, 0 if that is no number of seconds: a connector or a handler may set anything."""
    is_number = isinstance(retry_after, int | float) and retry_after >= 0  # false for NaN
    return float(retry_after) if is_number else 0.0  # type: ignore[arg-type]


def wished_seconds(error: IntegrationError) -> float:
    """Return how long `error` says to wait; a quota that says nothing rests for an hour."""
    return asked_seconds(error.retry_after) or (QUOTA_SECONDS if error.fault == QUOTA else 0.0)


def webhook(max_attempts: int | None = None, *, repeats_answers: bool = False) -> RetryPolicy:
    """Return the policy of a lane, from the settings, with an integration's own `max_attempts`."""
    policy = RetryPolicy(
        base=conf.RETRY_BASE_SECONDS,
        factor=conf.RETRY_FACTOR,
        cap=conf.RETRY_CAP_SECONDS,
        jitter=conf.RETRY_JITTER,
        max_attempts=conf.RETRY_MAX_ATTEMPTS,
        max_age=conf.RETRY_MAX_AGE_SECONDS,
        retry_after_cap=conf.RETRY_AFTER_CAP_SECONDS,
        repeats_answers=repeats_answers,
    )
    return replace(policy, max_attempts=max_attempts) if max_attempts else policy


def push(max_retries: int = 3, base: float = 1.0) -> RetryPolicy:
    """Return the policy of an order's push: `max_retries` *beside* the first attempt (3 means 4 in all)."""
    return _brisk(max_retries + 1, base)


def http(attempts: int | None = None, base: float | None = None) -> RetryPolicy:
    """Return the policy of the HTTPClient: so many attempts *in all*, ``base`` in seconds."""
    return _brisk(
        conf.HTTP_MAX_ATTEMPTS if attempts is None else attempts,
        conf.HTTP_BASE_SECONDS if base is None else base,
        conf.HTTP_WAIT_CAP_SECONDS,
    )


def _brisk(max_attempts: int, base: float, cap: float = 60.0) -> RetryPolicy:
    return RetryPolicy(
        base=base,
        factor=2.0,
        cap=cap,
        jitter=0.0,
        max_attempts=max(1, max_attempts),
        max_age=float("inf"),
        repeats_auth=False,
    )
