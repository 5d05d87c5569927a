"""Work of which its process may die, alone in its process.

What was under way together with something that kills its process dies with it, again and again. So whoever takes up
work whose last worker did not come back waits until nothing else runs in this process, and nothing else begins until
that is done. A prefork pool's processes do one thing at a time, and nobody ever waits there.

    with shared():     ordinary work: any number at once
        with alone():  inside of it, if need be: nothing else is under way
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_DEATHS = 5  # of what kills its worker, before it is given up
PATIENCE = 2.0  # seconds that suspicious work waits for the rest of its process, which begins nothing new meanwhile

_changed = threading.Condition()
_running = 0  # pieces of shared work under way
_waiting = 0  # for being alone: new shared work lets them pass
_is_alone = False
_own = threading.local()


def _after_fork() -> None:
    global _changed, _running, _waiting, _is_alone, _own
    _changed, _running, _waiting, _is_alone, _own = threading.Condition(), 0, 0, False, threading.local()


os.register_at_fork(after_in_child=_after_fork)


def times_died(times: int, seconds: float) -> str:
    """Return what people read of something that was given up because of its workers."""
    often = "once" if times == 1 else f"{times} times"
    return f"its worker died {often}, or took longer than {seconds:g} s"


@contextmanager
def shared() -> Iterator[None]:
    """Do ordinary work; it waits while something is alone, or waits for that. Nests in one thread."""
    depth = getattr(_own, "depth", 0)
    if depth == 0:
        _begin()
    _own.depth = depth + 1
    try:
        yield
    finally:
        _own.depth = depth
        if depth == 0:
            _end()


@contextmanager
def alone(seconds: float) -> Iterator[bool]:
    """Yield True once nothing else runs in this process, False if that took longer than `seconds`."""
    depth = getattr(_own, "depth", 0)
    if depth:
        _end()  # the rest of this very piece of work
    try:
        got = _take(seconds)
        _own.depth = depth + got  # what it calls that is shared is part of it
        try:
            yield got
        finally:
            _own.depth = depth
            if got:
                _give_back()
    finally:
        if depth:
            _begin()


def _begin() -> None:
    global _running
    with _changed:
        _changed.wait_for(lambda: not _is_alone and not _waiting)
        _running += 1


def _end() -> None:
    global _running
    with _changed:
        _running -= 1
        _changed.notify_all()


def _take(seconds: float) -> bool:
    global _waiting, _is_alone
    with _changed:
        _waiting += 1
        try:
            got = _changed.wait_for(lambda: not _is_alone and not _running, seconds)
        finally:
            _waiting -= 1
        if got:
            _is_alone = True
        else:
            _changed.notify_all()
        return got


def _give_back() -> None:
    global _is_alone
    with _changed:
        _is_alone = False
        _changed.notify_all()
