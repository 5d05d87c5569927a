"""``adapter.client``: the guarded client, and beside it ``adapter.client.http``, as seeds/000 writes it."""

from __future__ import annotations

from typing import Any, Protocol

from integrations.transport.http_client import HTTPClient
from integrations.transport.response import Response
from integrations.transport.tcp import Conversation

from .port import Client


class Adapter(Protocol):
    """What has an HTTPClient of its own."""

    @property
    def http(self) -> HTTPClient: ...


class AdapterClient:
    """What one adapter talks through.

    Attributes:
        http: the adapter's HTTPClient: base address, authentication, middleware.
    """

    def __init__(self, adapter: Adapter, guarded: Client) -> None:
        self._adapter, self._guarded = adapter, guarded

    @property
    def http(self) -> HTTPClient:
        return self._adapter.http

    def request(self, *args: Any, **options: Any) -> Response:
        """Send one request through the guarded client (transport/client.py)."""
        return self._guarded.request(*args, **options)

    def open_tcp(self, *args: Any, **options: Any) -> Conversation:
        """Open one guarded connection for what is not HTTP."""
        return self._guarded.open_tcp(*args, **options)
