"""Demos that start at the same moment never share a port, and each process gets the socket that was taken for it."""

from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from app.demo import processes
from app.demo.processes import Processes, listen, port_of

COMMANDS: dict[str, Callable[[int], list[str]]] = {
    "destinations": lambda fd: ["-m", "app.demo.receiver", str(fd)],
    "receiver": lambda fd: ["manage.py", "webhook_receiver", "--fd", str(fd), "--json"],
    "web": lambda fd: ["-m", "gunicorn", "-b", f"fd://{fd}", "wsgiref.simple_server:demo_app"],
}


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOGS", tmp_path)


def test_a_port_is_taken_from_the_moment_on_that_it_was_chosen() -> None:
    with listen(8000) as first, listen(port_of(first)) as second:
        assert port_of(second) > port_of(first)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port_of(first)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_process_answers_on_the_socket_that_it_was_handed(name: str) -> None:
    listener = listen(8300)
    port = port_of(listener)
    with Processes() as started:
        started.start(name, [sys.executable, *COMMANDS[name](listener.fileno())], listener)
        assert listener.fileno() == -1, "closed here, so that nobody waits for a process that died"
        # It is connected at once, and answered when the process is up.
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            assert answer.status in (200, 204)
