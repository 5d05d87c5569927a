"""What others need of the guarded client, so that tests can bring one without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from integrations.errors import IntegrationError
from integrations.transport.response import Response


class HttpClient(Protocol):
    """One request, one answer, whatever its status; raises only IntegrationErrors (http/guarded_client.py)."""

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Response: ...


class Gate(Protocol):
    """What a request must pass that shares its destination with others: a circuit breaker, a pace.

    Both may be called by several threads.
    """

    def enter(self) -> Any:
        """Wait for a turn, and return a ticket for `note`.

        Raises:
            IntegrationError: not now; `retry_after` says when, and nothing was sent.
        """
        ...

    def note(self, ticket: Any, error: IntegrationError | None) -> bool:
        """Take note of how the request ended (None: well); return whether another one may follow at once."""
        ...
