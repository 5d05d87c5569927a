"""The receiver in Python, for a machine without a C compiler: the same paths and answers as native/receiver.c."""

from __future__ import annotations

import asyncio
import re
import sys
import time

REFERENCE = re.compile(rb'"reference_id"\s*:\s*"?([^"\s,}]{0,31})')
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
WEBHOOK_ID = re.compile(rb"\r\nwebhook-id:\s*(\S{1,47})", re.IGNORECASE)
EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)


class State:
    """What all connections share."""

    hanging = False
    arrivals: list[tuple[int, int, str, str, str]]

    def __init__(self) -> None:
        self.arrivals = []

    def note(self, status: int, path: str, head: bytes, body: bytes) -> None:
        event, reference = WEBHOOK_ID.search(head), REFERENCE.search(body)
        words = (event[1].decode() if event else "-", reference[1].decode() if reference else "-")
        self.arrivals.append((time.monotonic_ns(), status, path[:31], *words))

    def control(self, path: str) -> bytes:
        if path == "/_count":
            return b"%d" % len(self.arrivals)
        if path == "/_reset":
            self.arrivals.clear()
        elif path.startswith("/_hang/"):
            self.hanging = path.endswith("1")
        elif path == "/_arrivals":
            return "".join(" ".join(map(str, row)) + "\n" for row in self.arrivals).encode()
        return b"ok"


def verdict(path: str, body: bytes, hanging: bool) -> int:
    """Return the status for a request; 0: no answer."""
    if path.startswith("/hang/") or (hanging and path.startswith("/later/")):
        return 0
    if path.startswith("/bad/") and b"BAD" in body:
        return 500
    return int(path.split("/")[2]) if path.startswith("/status/") else 200


class Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._buffer = b""
        self._waits = self._continued = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._work()

    def _work(self) -> None:
        while not self._waits and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[: end + 2]
            declared = LENGTH.search(head)
            whole = end + 4 + (int(declared[1]) if declared else 0)
            if len(self._buffer) < whole:
                if not self._continued and EXPECT.search(head):
                    self._continued = True
                    self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._continued = False
            self._handle(head.split(b" ", 2)[1].decode(), head, body)

    def _handle(self, path: str, head: bytes, body: bytes) -> None:
        if path.startswith("/_"):
            self._answer(200, self._state.control(path))
            return
        status = verdict(path, body, self._state.hanging)
        self._state.note(status, path, head, body)
        if not status:
            self._waits = True
        elif path.startswith("/delay/"):
            self._waits = True
            asyncio.get_running_loop().call_later(int(path.split("/")[2]) / 1000, self._answer_late, status)
        else:
            self._answer(status)

    def _answer_late(self, status: int) -> None:
        self._waits = False
        self._answer(status)
        self._work()

    def _answer(self, status: int, body: bytes = b'{"ok":true}') -> None:
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._write(head % (status, len(body)) + body)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def main() -> None:
    state = State()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # whoever started it is gone
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
