"""A process that sends for weeks: memory and descriptors stay where they are, whatever receivers answer."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.errors import IntegrationError
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\nKeep-Alive: timeout=60\r\n\r\n" + b"x" * 2000
# One in ten ends the connection, each in another way.
ODD = (
    ANSWER.replace(b"Keep-Alive: timeout=60", b"Connection: close"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 100,
    b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\nleft over",
    b"",
)


def resident() -> int:
    """Return the kilobytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def descriptors() -> int:
    """Return how many files and sockets this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def port() -> Iterator[int]:
    """A receiver that keeps nothing."""
    count = 0

    def serve(sock: socket.socket) -> None:
        nonlocal count
        with sock, contextlib.suppress(OSError):
            while sock.recv(65536):
                count += 1
                if count % 10 == 0:
                    sock.sendall(ODD[count // 10 % len(ODD)])
                    return
                sock.sendall(ANSWER)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_flat_over_20_000_requests(port: int) -> None:
    client = GuardedClient(AddressPolicy(allowed_hosts=(f"127.0.0.1:{port}",)), timeout=10)
    base = f"http://127.0.0.1:{port}"
    outcomes = {"answers": 0, "errors": 0}

    def send(times: int) -> None:
        for number in range(times):
            try:
                client.request("POST", f"{base}/{number}", headers={"X-N": str(number)}, body=b"y" * 500)
                outcomes["answers"] += 1
            except IntegrationError:
                outcomes["errors"] += 1

    send(2_000)
    memory, files = resident(), descriptors()
    send(20_000)
    assert outcomes == {"answers": 21_560, "errors": 440}
    assert descriptors() <= files + 2
    assert resident() - memory < 2_048  # less than 0.1 kB a request
    client.close()
