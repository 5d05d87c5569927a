"""What others need of the guarded client, so that tests can bring one without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .response import Response


class HttpClient(Protocol):
    """One request, one answer, whatever its status; raises only IntegrationErrors (client.py)."""

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
