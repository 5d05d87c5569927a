"""What Python loads first in a process with a wrong clock (services.faketime).

With FAKETIME_DONT_FAKE_MONOTONIC, libfaketime refuses to sleep until a moment, which is how Python sleeps. To wait for
so long works.
"""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep  # type: ignore[assignment]
