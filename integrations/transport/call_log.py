"""Log the calls of the HTTPClient:

    DEBUG    GET https://api.github.com/repos/owner/repo → 200 in 81 ms
    WARNING  Request failed (attempt 1/3): IntegrationTemporaryError: Server error (HTTP 503). Retrying in 0.5s...
    ERROR    IntegrationAuthError: Authentication failed (HTTP 401): {"message": "Bad credentials"}

Addresses come here masked, and excerpts redacted.
"""

from __future__ import annotations

from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.telemetry.logs import AnyLogger

_WORDS: tuple[tuple[type[IntegrationError], str], ...] = (
    (IntegrationAuthError, "Authentication failed"),
    (IntegrationRateLimited, "Rate limit exceeded"),
    (IntegrationTemporaryError, "Server error"),
    (IntegrationPermanentError, "Request refused"),
)


def described(error: IntegrationError) -> str:
    """Return ``IntegrationTemporaryError: Server error (HTTP 503)``: no host, no body."""
    words = error.message
    if error.status is not None:
        words = next((text for kind, text in _WORDS if isinstance(error, kind)), "Request failed")
        words = f"{words} (HTTP {error.status})"
    return f"{type(error).__name__}: {words}"


def log_attempt(logger: AnyLogger, method: str, shown_url: str, status: int | None, duration_ms: int) -> None:
    """Note one attempt; `status` is None if it got no answer."""
    if status is None:
        logger.debug("%s %s got no answer in %s ms", method, shown_url, duration_ms)
    else:
        logger.debug("%s %s → %s in %s ms", method, shown_url, status, duration_ms)


def log_retry(logger: AnyLogger, error: IntegrationError, attempt: int, attempts: int, wait: float) -> None:
    """Note that attempt number `attempt` of `attempts` failed and another one follows in `wait` seconds."""
    logger.warning("Request failed (attempt %s/%s): %s. Retrying in %gs...", attempt, attempts, described(error), wait)


def log_failure(logger: AnyLogger, error: IntegrationError) -> None:
    """Note what the caller gets."""
    logger.error("%s%s", described(error), f": {error.excerpt}" if error.excerpt else "")
