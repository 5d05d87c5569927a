"""Start the demo's processes, notice when one dies, stop them all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from app.embedded_broker import LAUNCHER, PROJECT

STOP_SECONDS = 10.0
LOGS = PROJECT / ".local" / "demo"


class Processes:
    """Child processes with one log file each under .local/demo; they die with us, even by kill -9."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self, name: str, command: list[str]) -> None:
        """Start `command` in a session of its own, so that Ctrl-C reaches it through us alone."""
        if sys.platform == "linux":
            command = [sys.executable, "-c", LAUNCHER, str(os.getpid()), *command]
        with self.log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def log(self, name: str) -> Path:
        return LOGS / f"{name}.log"

    def dead(self) -> str | None:
        """Return the name of a process that ended by itself, if one did."""
        return next((name for name, process in self.running.items() if process.poll() is not None), None)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_port(wanted: int) -> int:
    """Return `wanted`, or the next port on loopback that nobody listens on."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {wanted} to {wanted + 99}")
