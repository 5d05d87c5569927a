"""Name lookups that end: ``getaddrinfo`` has no timeout of its own and can hang for minutes.

In: host, port, seconds. Out: addresses as text, in the resolver's order.
Errors: ``IntegrationTemporaryError`` with code ``dns_failed`` (also for an unknown name: DNS answers change).

Lookups run in daemon threads, so that a hanging one never holds up the exit of the process. Lookups of the
same name share one thread, so that one dead name takes one of the slots, however often it is asked for.
"""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from time import monotonic

from integrations.errors import IntegrationTemporaryError

MAX_LOOKUPS = 64  # at once; glibc gives every one of them up some day, so the slots come back


class _Lookups:
    """The lookups under way in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: dict[tuple[str, int], Future[list[str]]] = {}
        self.slots = threading.BoundedSemaphore(MAX_LOOKUPS)


_lookups = _Lookups()


def _forget_after_fork() -> None:
    # The parent's threads do not exist in the child: what they looked up would never arrive.
    global _lookups
    _lookups = _Lookups()


os.register_at_fork(after_in_child=_forget_after_fork)


def resolve(host: str, port: int, timeout: float) -> list[str]:
    """Return the addresses of `host`, waiting at most `timeout` seconds.

    Raises:
        IntegrationTemporaryError: code ``dns_failed``.
    """
    end = monotonic() + timeout
    lookups, key = _lookups, (host, port)
    with lookups.lock:
        future = lookups.running.get(key)
    if future is None:
        if not lookups.slots.acquire(timeout=max(timeout, 0)):
            raise _failed(host, "cannot be looked up now: too many lookups are hanging")
        future = _start(lookups, key)
    try:
        addresses = future.result(timeout=max(end - monotonic(), 0))
        problem = "" if addresses else "has no address"
    except FutureTimeout:
        problem = f"was not found within {timeout:.0f} s: the DNS server does not answer"
    except Exception:  # gaierror, UnicodeError: their texts add nothing a person could use
        problem = "was not found in DNS"
    if problem:
        raise _failed(host, problem)
    return addresses


def _failed(host: str, problem: str) -> IntegrationTemporaryError:
    return IntegrationTemporaryError(f"{host} {problem}", code="dns_failed", was_sent=False)


def _start(lookups: _Lookups, key: tuple[str, int]) -> Future[list[str]]:
    """Begin a lookup with the slot that the caller took, or join one that began meanwhile."""
    with lookups.lock:
        future = lookups.running.get(key)
        if future is not None:
            lookups.slots.release()
            return future
        future = lookups.running[key] = Future()
    try:
        threading.Thread(target=_look_up, args=(lookups, key, future), name="dns", daemon=True).start()
    except RuntimeError as error:  # no more threads
        _finish(lookups, key)
        future.set_exception(error)
    return future


def _finish(lookups: _Lookups, key: tuple[str, int]) -> None:
    with lookups.lock:
        lookups.running.pop(key, None)
    lookups.slots.release()


def _look_up(lookups: _Lookups, key: tuple[str, int], future: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(*key, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    except BaseException as error:
        _finish(lookups, key)
        future.set_exception(error)
    else:
        _finish(lookups, key)
        future.set_result(addresses)
