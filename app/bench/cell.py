"""One measurement in a process of its own: ``python -m app.bench.cell`` with a JSON order on its input.

Everything that it starts ends with it. The result is one line of JSON on its output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from types import FrameType
from typing import Any

from .processes import BenchError, Processes, Started, Usage
from .receiver import Receiver

Result = dict[str, float] | dict[str, dict[str, float]]


@dataclass
class Cell:
    """What one measurement may use.

    Attributes:
        settings: of the scenario and subject, e.g. ``rows``.
        receiver: where the measured requests go.
        elsewhere: a second receiver, so that trouble has another destination than the lane that is watched.
    """

    settings: dict[str, Any]
    processes: Processes
    receiver: Receiver
    elsewhere: Receiver
    workers: list[Started] = field(default_factory=list)

    @property
    def is_sqlite(self) -> bool:
        return os.environ["DATABASE_URL"].startswith("sqlite")

    def python(self, name: str, arguments: list[str], *, talks: bool = False) -> Started:
        """Start one of our own programs."""
        return self.processes.start(name, [sys.executable, *arguments], talks=talks)

    @contextmanager
    def usage(self) -> Iterator[Usage]:
        """Watch CPU and memory of the workers, and CPU of the database's sessions."""
        sessions = database_sessions()
        try:
            with Usage([worker.pid for worker in self.workers], sessions.pids if sessions else None) as usage:
                yield usage
        finally:
            if sessions:
                sessions.close()

    def wait(self, condition: Callable[[], bool], what: str, seconds: float, pause: float = 0.02) -> None:
        """Return when `condition` holds; raise when a process ended or `seconds` have passed before."""
        deadline = time.monotonic() + seconds
        while not condition():
            for started in self.processes.all:
                if started.process.poll() not in (None, 0):
                    raise BenchError(f"{started.name} ended while we waited for {what}:\n{started.log[-2000:]}")
            if time.monotonic() > deadline:
                raise BenchError(f"{seconds:g} s passed while we waited for {what}")
            time.sleep(pause)

    def wait_received(self, count: int, seconds: float) -> None:
        self.wait(lambda: self.receiver.count() >= count, f"{count} requests", seconds)


class Sessions:
    """The server processes of our own database, other than this look at them."""

    def __init__(self) -> None:
        import psycopg

        self._connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

    def pids(self) -> list[int]:
        rows = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [row[0] for row in rows]

    def close(self) -> None:
        self._connection.close()


def database_sessions() -> Sessions | None:
    """Return the sessions of a PostgreSQL server; None for SQLite, which works in the workers themselves."""
    return Sessions() if os.environ["DATABASE_URL"].startswith("postgres") else None


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    order = json.loads(sys.stdin.readline())
    out = os.dup(1)
    os.dup2(2, 1)  # whatever prints, prints into the log
    with Processes() as processes:
        receiver, elsewhere = Receiver(processes), Receiver(processes, "elsewhere")
        # Before Django reads its settings; the environment goes on to the workers.
        os.environ["INTEGRATIONS_ALLOWED_HOSTS"] = f"{receiver.netloc},{elsewhere.netloc}"
        import django

        django.setup()
        module, _, function = order["run"].partition(":")
        cell = Cell(order["settings"], processes, receiver, elsewhere)
        try:
            answer = {"result": getattr(import_module(module), function)(cell)}
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            import traceback

            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:1500]}
        os.write(out, json.dumps(answer).encode() + b"\n")
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
