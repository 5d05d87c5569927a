"""``adapter.client``: the guarded client, and ``adapter.client.http``, where callbacks are added."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from integrations.errors import IntegrationError
from integrations.transport.classify import error_for
from integrations.transport.http_client import HTTPClient
from integrations.transport.port import Gate
from integrations.transport.response import Response
from integrations.transport.tcp import Conversation

from .port import Client


class Adapter(Protocol):
    """What has an HTTPClient of its own, and perhaps a gate that its requests pass."""

    gate: Gate | None

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
        gate = self._adapter.gate
        if gate is None:
            return self._guarded.request(*args, **options)
        ticket = gate.enter()
        try:
            response = self._guarded.request(*args, **options)
        except IntegrationError as error:
            gate.note(ticket, error)
            raise
        gate.note(ticket, None if response.status < 400 else error_for(response, host="the destination"))
        return response

    def open_tcp(self, *args: Any, **options: Any) -> Conversation:
        """Open one guarded connection for what is not HTTP."""
        gate = self._adapter.gate
        if gate is None:
            return self._guarded.open_tcp(*args, **options)
        ticket = gate.enter()
        try:
            conversation = self._guarded.open_tcp(*args, **options)
        except IntegrationError as error:
            gate.note(ticket, error)
            raise
        conversation.on_end = partial(gate.note, ticket)
        return conversation
