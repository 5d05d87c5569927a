"""End a worker process that is beyond help, so that its supervisor starts another; see docs/OPERATIONS.md.

A thread cannot be stopped from outside, so Celery's time limits do not work in the threads pool. Instead:

- no thread of the process gets to run (an extension that keeps Python's lock): a timer of `faulthandler`, which needs
  no lock, ends the process. A daemon thread winds it up again and again; the process ends when that stops.
- one lane gives no sign for longer than its task's time limit (it computes for ever, or a call ignored its deadline):
  that daemon thread sees it, writes where every thread stands, and ends the process.

Nothing is cleaned up: what was under way is found as after any other crash.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from celery.signals import worker_ready

from . import run_slot

logger = logging.getLogger("integrations.delivery")

FROZEN_SECONDS = 90.0  # longer than any library keeps Python's lock, and than a paused virtual machine should
LOOK_SECONDS = 5.0
EXIT_STATUS = 70  # "internal software error"
STDERR = 2  # the descriptor: Celery puts an object of its own in the place of sys.stderr


def start(*, look_seconds: float = LOOK_SECONDS, frozen_seconds: float = FROZEN_SECONDS) -> threading.Thread:
    """Watch this process from now on, until it ends."""
    thread = threading.Thread(target=_watch, args=(look_seconds, frozen_seconds), name="watchdog", daemon=True)
    thread.start()
    return thread


def _watch(look_seconds: float, frozen_seconds: float) -> None:
    pause = threading.Event()
    while True:
        faulthandler.dump_traceback_later(frozen_seconds, exit=True, file=STDERR)
        look(run_slot.gate)
        pause.wait(look_seconds)


def look(gate: run_slot.Gate, end_process: Callable[[int], Any] = os._exit) -> None:
    """End the process if a lane gave no sign within its limit."""
    silent = gate.silent()
    if not silent:
        return
    for stay, seconds in silent:
        logger.critical("%s gave no sign for %.0f s: this process ends and must be started again", stay.label, seconds)
    faulthandler.dump_traceback(file=STDERR, all_threads=True)
    end_process(EXIT_STATUS)


@worker_ready.connect(dispatch_uid="watchdog")
def _worker_ready(sender: Any = None, **_: Any) -> None:
    """Watch a worker whose tasks run on threads of its own process; prefork's limits work."""
    pool = getattr(getattr(sender, "controller", None), "pool", None)
    if type(pool).__module__.endswith(".thread"):
        start()
