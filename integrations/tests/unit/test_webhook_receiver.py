"""``integrations.testing.webhook_receiver`` leaves what a receiver should act on; the example of its page runs."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any

import pytest

from integrations.testing import WebhookReceiver, webhook_receiver
from integrations.tests.services import PROJECT
from integrations.transport.signing import generate_secret, sign

SECRET = generate_secret()


def post(
    port: int, webhook_id: str, sequence: int, *, item: int | None = 7, secret: str = SECRET, test: str = ""
) -> int:
    """Send an event as we do; return the status of the answer.

    Args:
        test: where it says that it is a test event: "header" or "body".
    """
    event: dict[str, Any] = {"event_type": "workitem_created", "tenant": {"id": 1}, "changes": {"id": {}}}
    if item is not None:
        event["workitem"] = {"id": item, "n": sequence}
    if test == "body":
        event["test"] = True
    body, moment = json.dumps(event).encode(), int(time.time())
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": sign(webhook_id, moment, body, [secret]),
        "webhook-sequence": str(sequence),
        **({"webhook-test": "true"} if test == "header" else {}),
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def numbers(receiver: WebhookReceiver) -> list[tuple[int, int]]:
    return [(event["workitem"]["id"], event["workitem"]["n"]) for event in receiver.events]


def test_it_leaves_what_is_to_be_acted_on() -> None:
    with webhook_receiver(SECRET) as receiver:
        port = receiver.server_port
        sent = [
            post(port, "evt_5", 5),
            post(port, "evt_5", 5),  # a copy
            post(port, "evt_3", 3),  # late
            post(port, "evt_4", 4, item=8),  # of another object
            post(port, "evt_6", 6, secret=generate_secret()),  # a stranger
            post(port, "evt_6", 6),
        ]
        assert sent == [200, 200, 200, 200, 401, 200]
        assert numbers(receiver) == [(7, 5), (8, 4), (7, 6)]
        assert [each.signature for each in receiver.received] == ["verified"] * 4 + ["mismatch", "verified"]


def test_what_it_refused_is_no_copy_later() -> None:
    with webhook_receiver(SECRET, fail_first=1, status=503) as receiver:
        assert [post(receiver.server_port, "evt_1", 1) for _ in range(3)] == [503, 200, 200]
        assert numbers(receiver) == [(7, 1)]


@pytest.mark.parametrize("said", ["header", "body"])
def test_a_test_event_about_an_object_is_no_part_of_its_sequence(said: str) -> None:
    """Neither late, with its sequence 0, nor is what comes after it, were it larger."""
    with webhook_receiver(SECRET) as receiver:
        port = receiver.server_port
        post(port, "evt_1", 0, test=said)
        post(port, "evt_2", 5)
        post(port, "evt_3", 0, test=said)
        post(port, "evt_4", 9, test=said)
        post(port, "evt_4", 9, test=said)  # a copy is a copy
        post(port, "evt_5", 6)
        post(port, "evt_6", 4)  # late
        assert numbers(receiver) == [(7, 0), (7, 5), (7, 0), (7, 9), (7, 6)]


def test_an_event_about_no_object_is_always_taken() -> None:
    with webhook_receiver(SECRET) as receiver:
        for webhook_id in ("evt_1", "evt_2"):
            assert post(receiver.server_port, webhook_id, 0, item=None) == 200
        assert len(receiver.wait_for(2)) == 2


def test_waiting_in_vain_says_what_came() -> None:
    with webhook_receiver(SECRET) as receiver, pytest.raises(pytest.fail.Exception, match="0 of 1 events came"):
        receiver.wait_for(1, timeout=0)


def test_the_example_of_the_page() -> None:
    page = (PROJECT / "docs" / "receive-events.md").read_text()
    (code,) = re.findall(r"```python\n# test_sending\.py\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # our own documentation

    def send(url: str) -> None:
        port = int(url.rstrip("/").rpartition(":")[2])
        while post(port, "evt_1", 1) != 200:
            pass

    names["test_that_it_arrives_once"](send, SECRET)
