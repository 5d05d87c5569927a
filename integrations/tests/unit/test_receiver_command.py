"""``manage.py webhook_receiver``: what it prints, answers and shows."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from standardwebhooks.webhooks import Webhook

from integrations.management.commands.webhook_receiver import Command
from integrations.management.receiver import Behaviour, Received, Receiver, page
from integrations.tests.effort import waiting
from integrations.tests.services import PROJECT

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"event_type": "workitem_created", "sequence": 12, "workitem": {"reference_id": "RMA-1"}})


class Running:
    """A receiver in this process, what the command printed, and one kept connection to it."""

    def __init__(self, behaviour: Behaviour, json_lines: bool = False) -> None:
        self.out = StringIO()
        command = Command(stdout=self.out, no_color=True)
        announce = command._announce_json if json_lines else command._announce
        self.server = Receiver(("127.0.0.1", 0), behaviour, announce)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.client = http.client.HTTPConnection(*self.server.server_address[:2], timeout=10)

    def send(self, body: str | bytes = BODY, **headers: str) -> http.client.HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.client.request("POST", "/hook", body if isinstance(body, bytes) else body.encode(), named)
        response = self.client.getresponse()
        response.read()
        return response

    def get(self, path: str = "/") -> str:
        self.client.request("GET", path)
        return self.client.getresponse().read().decode()

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def stop(self) -> None:
        self.client.close()
        self.server.shutdown()
        self.server.stop()
        self.thread.join(5)


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(json_lines: bool = False, **behaviour: Any) -> Running:
        started.append(Running(Behaviour(**behaviour), json_lines))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def signed(webhook_id: str = "msg_1", body: str = BODY, secret: str = SECRET, age: float = 0) -> dict[str, str]:
    at = datetime.fromtimestamp(int(time.time() - age), UTC)
    return {
        "webhook_id": webhook_id,
        "webhook_timestamp": str(int(at.timestamp())),
        "webhook_signature": Webhook(secret).sign(webhook_id, at, body),
    }


def test_a_verified_webhook_is_one_line(run):
    running = run(secrets=(OTHER, SECRET))
    assert running.send(**signed()).status == 200
    (line,) = running.lines
    for word in ("✓ 200", "workitem_created", "RMA-1", "msg_1", "sequence 12", "signature ✓"):
        assert word in line


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        ({"invoice": {"id": 7, "number": "INV-7"}}, "INV-7"),
        ({"tenant": {"name": "Acme"}, "changes": {"name": {}}, "invoice": {"id": 7}}, "  7  "),
        ({"tenant": {"name": "Acme"}, "days": 3}, "  -  "),
    ],
)
def test_the_object_is_called_as_its_payload_calls_it(run, payload, name):
    running = run()
    running.send(body=json.dumps({"event_type": "invoice_created", **payload}))
    (line,) = running.lines
    assert name in line and "Acme" not in line


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "signature ✗ "),
        (signed(secret=OTHER), "signature ✗ "),
        (signed(body="another"), "signature ✗ "),
        (signed(age=4000), "signature ✗ "),
    ],
    ids=["unsigned", "other secret", "changed body", "too old"],
)
def test_a_bad_signature_is_refused_with_its_reason(run, headers, words):
    running = run(secrets=(SECRET,))
    assert running.send(**headers).status == 401
    assert words in running.lines[0]
    assert "✗ 401" in running.lines[0]


def test_without_a_secret_nothing_is_claimed_about_the_signature(run):
    running = run()
    assert running.send().status == 200
    assert running.send(**signed()).status == 200
    assert running.lines[0].endswith("unsigned")
    assert "no --secret" in running.lines[1]


def test_copies_after_a_failure_are_attempts_and_after_a_success_duplicates(run):
    running = run(fail_first=1, status=503, retry_after=7)
    first = running.send(webhook_id="msg_a")
    assert (first.status, first.headers["Retry-After"]) == (503, "7")
    second = running.send(webhook_id="msg_a")
    assert (second.status, second.headers["Retry-After"]) == (200, None)
    running.send(webhook_id="msg_a")
    running.send(webhook_id="msg_b")
    assert [("attempt" in line, "duplicate" in line) for line in running.lines] == [
        (False, False),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_fail_every(run):
    running = run(fail_every=3)
    assert [running.send().status for _ in range(6)] == [200, 200, 500, 200, 200, 500]


def test_fail_rate(run):
    assert {run(fail_rate=1.0).send().status, run(fail_rate=0.0).send().status} == {500, 200}


def test_api_key(run):
    running = run(api_key="kéy")
    assert running.send().status == 403
    assert running.send(X_API_Key="wrong").status == 403
    assert run(api_key="key").send(X_API_Key="key").status == 200


def test_delay_and_drip(run):
    started = time.monotonic()
    run(delay=0.2).send()
    assert time.monotonic() - started >= 0.2
    dripping = run(drip=True)
    dripping.client.request("POST", "/", BODY.encode())
    response = dripping.client.getresponse()
    assert len(response.read(1)) == 1
    assert dripping.client.sock is not None


def test_the_connection_is_kept(run):
    running = run()
    running.send()
    socket = running.client.sock
    running.send()
    assert running.client.sock is socket is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00",
        b"[1]",
        b'"x"',
        b"null",
        b"[" * 5000,
        b'{"workitem": [1], "event_type": {"a": 1}}',
        b"1" * 5000,
    ],
    ids=["empty", "binary", "list", "string", "null", "deep", "odd types", "long number"],
)
def test_any_body_is_taken(run, body):
    running = run()
    assert running.send(body).status == 200
    assert "RMA" not in running.get()


def test_a_body_without_length_or_too_large_is_refused(run):
    running = run()
    for headers, status in (
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": "99999999"}, 413),
        ({"Content-Length": "-1"}, 411),
    ):
        running.client.putrequest("POST", "/")
        for name, value in headers.items():
            running.client.putheader(name, value)
        running.client.endheaders()
        assert running.client.getresponse().status == status
        running.client.close()


def test_the_page_escapes_what_came(run):
    running = run()
    running.send(json.dumps({"event_type": "<script>alert(1)</script>", "x": "</pre><img>"}))
    shown = running.get()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown
    assert "refresh" in shown
    assert "http-equiv" not in running.get("/?pause")


def test_the_page_shows_the_last_hundred(run):
    running = run()
    for number in range(105):
        running.send(webhook_id=f"msg_{number}")
    shown = running.get()
    assert "msg_104" in shown
    assert "msg_5<" in shown
    assert "msg_4<" not in shown
    assert len(json.loads(running.get("/received.json"))) == 100


def test_the_empty_page_says_so():
    assert b"Nothing yet" in page([], live=True)


def test_the_terminal_gets_no_control_characters(run):
    running = run()
    running.send(json.dumps({"event_type": "a\x1b[2J\n\u202eb" + "x" * 200}))
    (line,) = running.lines
    assert line.isprintable()
    assert len(line) < 200


def test_json_lines(run):
    running = run(json_lines=True, secrets=(SECRET,))
    running.send(**signed())
    row = json.loads(running.lines[0])
    assert (row["signature"], row["status"], row["copy"], row["sequence"]) == ("verified", 200, 1, "12")


def test_secrets_are_never_shown(run):
    running = run(secrets=(SECRET,), api_key="open-sesame")
    running.send(**signed(), X_API_Key="open-sesame")
    everything = running.out.getvalue() + running.get() + running.get("/received.json")
    everything += repr(running.server.behaviour)
    assert SECRET not in everything
    assert "open-sesame" not in everything


def test_a_line_survives_a_narrow_encoding(run):
    class Ascii(StringIO):
        encoding = "ascii"

    out = Ascii()
    received = Received(1, "2026-01-01T00:00:00.000", "POST", "/", "e", "", "", "", 1, False, "unsigned", 200, "")
    Command(stdout=out, no_color=True)._announce(received)
    assert out.getvalue().isascii()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fail", "x"),
        ("--fail", "1.5"),
        ("--fail", "-1"),
        ("--fail-every", "0"),
        ("--status", "99"),
        ("--delay", "nan"),
        ("--secret", "whsec_***"),
        ("--secret", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("--port", "99999"),
    ],
)
def test_a_bad_argument_is_explained(arguments):
    with pytest.raises(CommandError) as caught:
        call_command("webhook_receiver", *arguments)
    assert "MfKQ" not in str(caught.value)
    assert "***" not in str(caught.value)


def test_a_port_in_use_is_explained(run):
    port = run().server.server_address[1]
    with pytest.raises(CommandError, match="Choose another --port"):
        call_command("webhook_receiver", "--port", str(port))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_real_command_serves_and_stops_at_once(number):
    environment = {**os.environ, "WEBHOOK_RECEIVER_SECRETS": SECRET, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "manage.py", "webhook_receiver", "--port", "0", "--delay", "60"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            lines: queue.Queue[str] = queue.Queue()
            reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout])
            reader.start()
            listening = lines.get(timeout=30)
            address = listening.split("http://")[1].split("/")[0]
            client = http.client.HTTPConnection(address, timeout=30)
            headers = {name.replace("_", "-"): value for name, value in signed().items()}
            client.request("POST", "/", BODY, headers)
            assert "signature ✓" in lines.get(timeout=30)  # and its answer is still being delayed
            with waiting() as waited:
                process.send_signal(number)
                assert process.wait(30) == 0
            assert waited.seconds < 2
            client.close()
        finally:
            process.kill()
            reader.join(5)
