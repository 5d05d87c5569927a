"""Hooks that see every call of an HTTPClient: for the execution log, metrics, a test.

    client.middleware.add_on_response(lambda call, response: …)
    client.middleware.add_on_error(lambda call, error: …)

A hook that raises is logged and forgotten: watching a call never breaks it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.errors import IntegrationError
from integrations.transport.response import Response

logger = logging.getLogger("integrations.transport")


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, as it may be shown and stored: nothing in it is secret.

    Attributes:
        url: without user info and query values; the path is left out where it is a secret.
        headers: unknown values masked.
        attempt: 1 for the first.
        duration_ms: until the answer or the failure.
    """

    method: str
    url: str
    attempt: int
    duration_ms: int
    headers: Mapping[str, str] = field(default_factory=dict)


OnResponse = Callable[[Call, Response], Any]
OnError = Callable[[Call, IntegrationError], Any]
OnOutcome = Callable[[IntegrationError | None], Any]


class Middleware:
    """The hooks of one client, in the order in which they were added."""

    def __init__(self) -> None:
        self._on_response: list[OnResponse] = []
        self._on_error: list[OnError] = []
        self._on_outcome: list[OnOutcome] = []

    def add_on_response(self, hook: OnResponse) -> None:
        """Call ``hook(call, response)`` after every answer, whatever its status."""
        self._on_response.append(hook)

    def add_on_error(self, hook: OnError) -> None:
        """Call ``hook(call, error)`` after every attempt that got no answer, or one that means an error."""
        self._on_error.append(hook)

    def add_on_outcome(self, hook: OnOutcome) -> None:
        """Call ``hook(error)`` once per call, however many attempts it took; None: it worked.

        A token that is renewed on the way is no failure here.
        """
        self._on_outcome.append(hook)

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody looks at the single attempts."""
        return not (self._on_response or self._on_error)

    def responded(self, call: Call, response: Response) -> None:
        for hook in self._on_response:
            _safely(hook, call, response)

    def failed(self, call: Call, error: IntegrationError) -> None:
        for hook in self._on_error:
            _safely(hook, call, error)

    def ended(self, error: IntegrationError | None) -> None:
        for hook in self._on_outcome:
            _safely(hook, error)


def _safely(hook: Callable[..., Any], *what: Any) -> None:
    try:
        hook(*what)
    except Exception as error:
        logger.error("a middleware hook failed: %s", type(error).__name__)
