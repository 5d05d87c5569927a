"""Start processes, watch what they use, and end each of them by its id."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from app.embedded_broker import PROJECT, ends_with_us

LOGS = PROJECT / ".local" / "bench" / "logs"
STOP_SECONDS = 5.0
READY_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchError(RuntimeError):
    """The benchmark cannot go on; the message says why."""


class Started:
    """One child process in a session of its own; it dies with us, even if we are killed."""

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, talks: bool = False
    ) -> None:
        self.name = name
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log_path = LOGS / f"{name}.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                ends_with_us(command),
                cwd=PROJECT,
                env=None if env is None else {**os.environ, **env},
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def first_line(self) -> str:
        """Wait for the first line that it prints (`talks`)."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().strip()
        if not line:
            raise BenchError(f"{self.name} ended before it said anything:\n{self.log[-2000:]}")
        return line

    def wait_for(self, words: str) -> None:
        """Return when `words` stand in its log."""
        self.wait_until(lambda: words in self.log, f"it printed {words!r}", READY_SECONDS)

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Return when `condition` holds; raise if the process ends or `seconds` pass before."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended ({self.process.returncode}) before {what}:\n{self.log[-2000:]}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: {seconds:g} s passed before {what}:\n{self.log[-2000:]}")
            time.sleep(0.02)

    def end(self, patience: float = 0.0) -> None:
        """End it and its children: at once, or after `patience` seconds for a shutdown of its own."""
        if patience and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Processes:
    """The children of one measurement, ended together and last first."""

    def __init__(self) -> None:
        self.all: list[Started] = []

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, talks: bool = False
    ) -> Started:
        started = Started(name, command, env=env, talks=talks)
        self.all.append(started)
        return started

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        for started in reversed(self.all):
            started.end()


# -- what they use ------------------------------------------------------------------------------------


def all_processes() -> dict[int, tuple[int, float, int]]:
    """Return pid → (parent, CPU seconds so far, resident bytes) of every process; empty where there is no /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):  # gone since the listing
            words = entry.read_text().rpartition(")")[2].split()
            found[int(entry.parent.name)] = (int(words[1]), cpu_of(words), int(words[21]) * _PAGE)
    return found


def cpu_of(words: Sequence[str]) -> float:
    """Return user + system seconds from the words of /proc/<pid>/stat after the command's name."""
    return (int(words[11]) + int(words[12])) / _TICKS


def tree(table: Mapping[int, tuple[int, float, int]], roots: Sequence[int]) -> set[int]:
    """Return `roots` and all their descendants in `table`."""
    found = {pid for pid in roots if pid in table}
    while more := {pid for pid, row in table.items() if row[0] in found and pid not in found}:
        found |= more
    return found


class Usage:
    """CPU seconds and memory of process trees (and of the database's sessions), sampled while something runs."""

    def __init__(self, roots: Sequence[int], sessions: Callable[[], Sequence[int]] | None = None) -> None:
        self._roots = list(roots)
        self._sessions = sessions
        self._first: dict[str, dict[int, float]] = {"worker": {}, "database": {}}
        self._last: dict[str, dict[int, float]] = {"worker": {}, "database": {}}
        self.memory: list[int] = []  # of the largest process, at each sample
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Usage:
        self._sample(is_first=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            self._sample()

    def _sample(self, is_first: bool = False) -> None:
        table = all_processes()
        groups = {"worker": tree(table, self._roots), "database": set(self._sessions() if self._sessions else ())}
        for group, pids in groups.items():
            seen = {pid: table[pid][1] for pid in pids if pid in table}
            if is_first:
                self._first[group] = dict(seen)
            self._last[group].update(seen)
        self.memory.append(max((table[pid][2] for pid in groups["worker"] if pid in table), default=0))

    def cpu(self, group: str) -> float:
        """Return the CPU seconds of "worker" or "database" between the first and the last sample."""
        first = self._first[group]
        return sum(value - first.get(pid, 0.0) for pid, value in self._last[group].items())
