"""A server program as an ordinary user's process, with its own configuration, also where the tests run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from integrations.tests.services import missing, port_answers, wait_until

USER = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")


def free_port() -> int:
    """Return a port of loopback that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def program(name: str) -> str:
    """Return the path of an installed program, or skip."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        missing(f"{name} is not installed")
    return str(found)


class OrdinaryProcess:
    """A folder that belongs to `USER`, and one process in it; its group is ended with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._own(self.folder)

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of the folder that only `USER` may read."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        for each in (path, *path.parents):
            if each.is_relative_to(self.folder):
                self._own(each)
        return path

    def make_folder(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        self._own(path)
        return path

    def run(self, *words: str) -> None:
        """Start the program and wait until it accepts connections."""
        is_root = os.getuid() == 0
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                words,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=USER.pw_uid if is_root else None,
                group=USER.pw_gid if is_root else None,
                extra_groups=[] if is_root else None,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder)},
            )
        wait_until(self._answers, 20, f"{words[0]} accepts connections")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait(10)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            pytest.fail(f"ended at its start:\n{self.log}")
        return port_answers("127.0.0.1", self.port)

    @staticmethod
    def _own(path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, USER.pw_uid, USER.pw_gid)
