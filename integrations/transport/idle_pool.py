"""Open connections at rest, kept for the next request to the same scheme, host and port.

Bounded in number, the least recently used destination going first. Thread-safe. A connection that its server
closed, or that rested or lived too long, is never handed out: a request sent on it would be lost half-way,
and whether it arrived would be unknown.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from time import monotonic

from .connection import Connection

Key = tuple[str, str, int]  # scheme, host, port

MAX_IDLE = 128  # connections in all
MAX_IDLE_PER_KEY = 32
MAX_AGE = 300.0  # seconds; then the name is resolved, checked and dialled again


class IdlePool:
    """``take`` a connection or None; ``give`` it back; ``close`` all."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._count = 0
        self._closed = False
        # Each list: (connection, usable until), the most recently used last.
        self._idle: OrderedDict[Key, list[tuple[Connection, float]]] = OrderedDict()

    def take(self, key: Key) -> Connection | None:
        if self._pid != os.getpid():
            # Forked: these connections are the parent's. Closing our copies says nothing to the server, but
            # writing to one would mix two streams.
            inherited = self._drain()
            self._reset()
            for connection in inherited:
                connection.close()
        while True:
            with self._lock:
                entries = self._idle.get(key)
                if not entries:
                    return None
                connection, until = entries.pop()
                self._count -= 1
                if not entries:
                    del self._idle[key]
            if monotonic() < until and connection.is_connected:
                return connection
            connection.close()

    def give(self, key: Key, connection: Connection, idle_seconds: float) -> None:
        """Keep `connection` for at most `idle_seconds`."""
        until = min(monotonic() + idle_seconds, connection.born + MAX_AGE)
        surplus: list[Connection] = []
        with self._lock:
            entries = self._idle.setdefault(key, [])
            entries.append((connection, until))
            self._idle.move_to_end(key)
            self._count += 1
            if self._closed:
                surplus = self._drain()
            elif len(entries) > MAX_IDLE_PER_KEY:
                surplus.append(entries.pop(0)[0])
                self._count -= 1
            elif self._count > MAX_IDLE:
                oldest, stale = next(iter(self._idle.items()))
                surplus.append(stale.pop(0)[0])
                self._count -= 1
                if not stale:
                    del self._idle[oldest]
        for extra in surplus:
            extra.close()

    def _drain(self) -> list[Connection]:
        drained = [connection for entries in self._idle.values() for connection, _ in entries]
        self._idle.clear()
        self._count = 0
        return drained

    def close(self) -> None:
        """Close what rests now, and from now on everything that comes back."""
        with self._lock:
            self._closed = True
            drained = self._drain()
        for connection in drained:
            connection.close()
