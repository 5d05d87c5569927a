"""What something costs, told so that a busy machine does not change it; no test reads the time of day for that.

with waiting() as waited:      for what waits: how many naps another thread takes meanwhile. On a busy machine
    call()                     everybody's naps take longer, so a deadline that was kept is still seen to be kept
assert waited.seconds < 2

with computing() as computed:  for what computes: seconds of processor that this thread was given
    parse()
assert computed.seconds < 5
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep, thread_time

NAP = 0.01


class Effort:
    seconds = 0.0


@contextmanager
def waiting() -> Iterator[Effort]:
    """Count the naps of another thread during the block; it must not compute, or nobody else has Python's lock."""
    effort, is_over = Effort(), threading.Event()

    def doze() -> None:
        while not is_over.is_set():
            sleep(NAP)
            effort.seconds += NAP

    dozer = threading.Thread(target=doze, daemon=True)
    dozer.start()
    try:
        yield effort
    finally:
        is_over.set()
        dozer.join()


@contextmanager
def computing() -> Iterator[Effort]:
    """Measure the processor time of this thread during the block."""
    effort, started = Effort(), thread_time()
    try:
        yield effort
    finally:
        effort.seconds = thread_time() - started
