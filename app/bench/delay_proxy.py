"""A TCP proxy on loopback that delays every byte: a network between two processes of one machine.

``python -m app.bench.delay_proxy HOST PORT MILLISECONDS`` prints its port. Half of the round trip is spent on the way
there and half on the way back. Threads and not an event loop, whose timers are as coarse as the delay itself.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time
from contextlib import suppress

CHUNK = 65536
Chunks = queue.SimpleQueue[tuple[float, bytes]]  # when it is due, and what


class DelayProxy:
    """Forwards connections to `target`; each chunk arrives `round_trip` / 2 seconds after it was read."""

    def __init__(self, target: tuple[str, int], round_trip: float) -> None:
        self._target = target
        self._delay = round_trip / 2
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Accept until `close`."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._join, args=(client, server), daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        """Forward in both directions until both have ended."""
        threads = []
        for source, sink in ((client, server), (server, client)):
            chunks: Chunks = queue.SimpleQueue()
            threads.append(threading.Thread(target=read, args=(source, chunks, self._delay), daemon=True))
            threads.append(threading.Thread(target=write, args=(source, sink, chunks), daemon=True))
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        client.close()
        server.close()


def read(source: socket.socket, chunks: Chunks, delay: float) -> None:
    """Read until the end; an empty chunk says that it is reached."""
    data = b"first"
    while data:
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        chunks.put((time.monotonic() + delay, data))


def write(source: socket.socket, sink: socket.socket, chunks: Chunks) -> None:
    """Send each chunk when it is due, in order; pass the end of the stream on."""
    while True:
        due, data = chunks.get()
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        try:
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
        except OSError:
            with suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)
            return


def main(host: str, port: str, milliseconds: str) -> None:
    proxy = DelayProxy((host, int(port)), float(milliseconds) / 1000)
    sys.stdout.write(f"{proxy.port}\n")
    sys.stdout.flush()
    proxy.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
