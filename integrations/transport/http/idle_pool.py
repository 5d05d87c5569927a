"""Open connections at rest, kept for the next request to the same scheme, host and port; and handles without one.

Bounded in number, the least recently used destination going first. Thread-safe. A connection that its server
closed, or that rested or lived too long, is never handed out: a request sent on it would be lost half-way,
and whether it arrived would be unknown.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from time import monotonic
from weakref import WeakSet

from integrations.transport.http.curl_handle import CurlHandle

Key = tuple[str, str, int]  # scheme, host, port

MAX_IDLE = 128  # connections in all
MAX_IDLE_PER_KEY = 32
MAX_SPARE = 16  # handles without a connection; each knows the trusted authorities (0.7 MB)
MAX_AGE = 300.0  # seconds; then the name is resolved, checked and dialled again

_pools: WeakSet[IdlePool] = WeakSet()


class IdlePool:
    """``take`` a connection or None; ``give`` it back; ``spare`` and ``discard`` for handles without; ``close`` all."""

    def __init__(self) -> None:
        self.forget()
        _pools.add(self)

    def forget(self) -> None:
        """Begin empty: after a fork these are the parent's, and so may the lock be."""
        self._lock = threading.Lock()
        self._count = 0
        self._closed = False
        # Each list: (connection, usable until), the most recently used last.
        self._idle: OrderedDict[Key, list[tuple[CurlHandle, float]]] = OrderedDict()
        self._spare: list[CurlHandle] = []

    def take(self, key: Key) -> CurlHandle | None:
        """Return a handle with an open connection, or None."""
        while True:
            with self._lock:
                entries = self._idle.get(key)
                if not entries:
                    return None
                handle, until = entries.pop()
                self._count -= 1
                if not entries:
                    del self._idle[key]
            if monotonic() < until and handle.is_quiet:
                return handle
            self.discard(handle)

    def give(self, key: Key, handle: CurlHandle, idle_seconds: float) -> None:
        """Keep the connection of `handle` for at most `idle_seconds`."""
        now = monotonic()
        until = min(now + idle_seconds, handle.born + MAX_AGE)
        surplus: list[CurlHandle] = []
        with self._lock:
            entries = self._idle.setdefault(key, [])
            entries.append((handle, until))
            self._idle.move_to_end(key)
            self._count += 1
            if self._closed:
                surplus = self._drain()
            elif len(entries) > MAX_IDLE_PER_KEY:
                surplus.append(self._oldest_of(key))
            else:
                oldest = next(iter(self._idle))
                if self._count > MAX_IDLE or self._idle[oldest][0][1] < now:  # nobody will ask for it again
                    surplus.append(self._oldest_of(oldest))
        for extra in surplus:
            self.discard(extra)

    def spare(self) -> CurlHandle | None:
        """Return a handle without a connection, or None."""
        with self._lock:
            return self._spare.pop() if self._spare else None

    def discard(self, handle: CurlHandle) -> None:
        """End the connection of `handle`, and keep the handle if there is room."""
        handle.disconnect()
        with self._lock:
            if not self._closed and len(self._spare) < MAX_SPARE:
                self._spare.append(handle)
                return
        handle.close()

    def _oldest_of(self, key: Key) -> CurlHandle:
        entries = self._idle[key]
        self._count -= 1
        handle, _ = entries.pop(0)
        if not entries:
            del self._idle[key]
        return handle

    def _drain(self) -> list[CurlHandle]:
        drained = [handle for entries in self._idle.values() for handle, _ in entries]
        self._idle.clear()
        self._count = 0
        return drained

    def close(self) -> None:
        """Close what rests now, and from now on everything that comes back."""
        with self._lock:
            self._closed = True
            drained = [*self._drain(), *self._spare]
            self._spare = []
        for handle in drained:
            handle.close()


def _forget_all() -> None:
    for pool in list(_pools):
        pool.forget()


os.register_at_fork(after_in_child=_forget_all)
