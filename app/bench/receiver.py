"""Start the receiver (native/receiver.c, or receiver_loop.py where there is no C compiler) and ask it what arrived."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from app.embedded_broker import PROJECT

from .processes import BenchError, Processes

SOURCE = Path(__file__).parent / "native" / "receiver.c"


class Arrival(NamedTuple):
    """One request as it arrived; `at` is time.monotonic_ns() of this machine."""

    at: int
    status: int  # 0: it was not answered
    path: str
    id: str  # the webhook-id
    reference: str  # the reference_id in the body


def compiled() -> Path | None:
    """Compile the C receiver, once for each version of its source; None where that cannot be done."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler or sys.platform != "linux":
        return None
    name = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    program = PROJECT / ".local" / "bench" / f"receiver-{name}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        try:
            subprocess.run([compiler, "-O2", "-o", str(fresh), str(SOURCE)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        fresh.replace(program)
    return program


def kind() -> str:
    return "C, one thread, epoll" if compiled() else "Python, asyncio (no C compiler found: it may be the bottleneck)"


class Receiver:
    """One receiver process on loopback."""

    def __init__(self, processes: Processes, name: str = "receiver") -> None:
        program = compiled()
        command = [str(program)] if program else [sys.executable, "-m", "app.bench.receiver_loop"]
        self.process = processes.start(name, command, talks=True)
        self.port = int(self.process.first_line())
        self._control: http.client.HTTPConnection | None = None

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/hook/") -> str:
        return f"http://{self.netloc}{path}"

    def count(self) -> int:
        """Return how many requests have arrived."""
        return int(self._ask("/_count"))

    def arrivals(self) -> list[Arrival]:
        """Return every request since the last `reset`, oldest first."""
        found = []
        for line in self._ask("/_arrivals").splitlines():
            at, status, path, event, reference = line.split(" ")
            found.append(Arrival(int(at), int(status), path, event, reference))
        return found

    def reset(self) -> None:
        """Forget what arrived."""
        self._ask("/_reset")

    def hang(self, is_on: bool) -> None:
        """From now on leave requests to /later/ without an answer, or answer them again."""
        self._ask(f"/_hang/{int(is_on)}")

    def close(self) -> None:
        """Close our connection to it; the process ends with the others."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def _ask(self, path: str) -> str:
        if self._control is None:
            self._control = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            self._control.request("GET", path)
            return self._control.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"the receiver does not answer: {error}") from error
