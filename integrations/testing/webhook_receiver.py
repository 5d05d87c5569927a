"""``webhook_receiver``: what ``manage.py webhook_receiver`` is at the command line, for tests: a receiver on loopback
that does what a receiver of our events should do.

    with webhook_receiver("whsec_…", fail_first=1) as receiver:
        ...  # whatever sends to receiver.url
        (event,) = receiver.wait_for(1)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from integrations.management.receiver import FRAME, Behaviour, Received, Receiver, payload_of

WAIT_SECONDS = 10.0


class WebhookReceiver(Receiver):
    """Verifies, drops copies, and leaves out what is older than what came before of the same object.

    Attributes:
        events: what is left: the payloads to act on, in the order in which they came. Test events are always left:
            their values are made up, so they are neither older nor newer than what happened to an object.
        received: every request, the last hundred, with its signature's verdict and our answer (`Received`).
        url: where to send.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.events: list[dict[str, Any]] = []
        self._known: dict[str, int] = {}  # object → the largest sequence
        self._came = threading.Condition()
        super().__init__(("127.0.0.1", 0), behaviour, lambda received: None)

    def take(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Received:
        """Judge one request as a receiver should: what is taken for the first time, and is not late, is an event."""
        received = super().take(method, path, headers, body)
        if received.status < 300 and not received.duplicate:
            event, sequence = payload_of(body), headers.get("webhook-sequence", "")
            with self._came:
                is_test = headers.get("webhook-test") == "true" or event.get("test") is True
                if is_test or self._is_newer(_object_of(event), int(sequence) if sequence.isdecimal() else 0):
                    self.events.append(event)
                    self._came.notify_all()
        return received

    def _is_newer(self, name: str, sequence: int) -> bool:
        if name and sequence <= self._known.get(name, 0):
            return False
        self._known[name] = sequence
        return True

    def wait_for(self, count: int, timeout: float = WAIT_SECONDS) -> list[dict[str, Any]]:
        """Return the events once there are `count`; the test fails after `timeout` seconds."""
        with self._came:
            if not self._came.wait_for(lambda: len(self.events) >= count, timeout):
                pytest.fail(f"{len(self.events)} of {count} events came to {self.url} within {timeout:g} s")
            return list(self.events)


@contextmanager
def webhook_receiver(*secrets: str, **behaviour: Any) -> Iterator[WebhookReceiver]:
    """Run a receiver on a free port of 127.0.0.1 until the block ends.

    Args:
        secrets: ``whsec_…`` that a signature may fit; none: signatures are not looked at.
        behaviour: how it is to misbehave, by the names of `Behaviour`: ``fail_first=2``, ``status=503``,
            ``retry_after=5``, ``delay=1.0``, ``api_key="…"``.
    """
    receiver = WebhookReceiver(Behaviour(secrets=secrets, **behaviour))
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        receiver.stop()
        thread.join()


def _object_of(event: dict[str, Any]) -> str:
    """Return what an event is about, ``workitem 7``; "" for one about nothing."""
    for name, value in event.items():
        if name not in FRAME and isinstance(value, dict) and "id" in value:
            return f"{name} {value['id']}"
    return ""
