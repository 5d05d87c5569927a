"""Start the demo's processes, notice when one dies, stop them all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from app.embedded_broker import PROJECT, ends_with_us

STOP_SECONDS = 10.0
BACKLOG = 256  # connections that wait until the process that gets the socket is up
LOGS = PROJECT / ".local" / "demo"


class Processes:
    """Child processes with one log file each under .local/demo; they die with us, even by kill -9."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self, name: str, command: list[str], listener: socket.socket | None = None) -> None:
        """Start `command` in a session of its own, so that Ctrl-C reaches it through us alone.

        Args:
            listener: a socket to hand on, of which `command` has the file descriptor. It is closed here.
        """
        handed = [] if listener is None else [listener]
        with self.log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                ends_with_us(command),
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[each.fileno() for each in handed],
            )
        for each in handed:
            each.close()

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


def listen(wanted: int) -> socket.socket:
    """Return a socket that listens on loopback, on port `wanted` or the next one that nobody has.

    The port is ours from now on, so that two demos that start at the same moment never take the same one.
    """
    for port in range(wanted, wanted + 100):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            continue
        return listener
    raise RuntimeError(f"no free port from {wanted} to {wanted + 99}")


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])
