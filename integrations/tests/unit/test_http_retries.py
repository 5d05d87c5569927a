"""HTTPClient: when it tries again, how long it waits, and when it must not (docs/adr/0015)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.callers import Caller, failure
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.scripted_server import CLOSE, HANG, READ, RESET, ScriptedServer, ok
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.guard.resolver import resolve
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.http_client import HTTPClient

FAST = {"timeout": 0.15}


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)


# -- how often, how long -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "waits"),
    [(1, []), (2, [0.5]), (None, [0.5, 1]), (4, [0.5, 1, 2]), (7, [0.5, 1, 2, 4, 5, 5])],
)
def test_waits_double_up_to_the_cap(
    caller: Caller, receiver: Receiver, attempts: int | None, waits: list[float]
) -> None:
    receiver.answer_with(default=500)
    assert isinstance(failure(caller(receiver, max_retries=attempts).get, "/x"), IntegrationTemporaryError)
    assert caller.waits == waits
    assert len(receiver.requests) == len(waits) + 1


def test_the_settings_decide(caller: Caller, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"HTTP_MAX_ATTEMPTS": 5, "HTTP_BASE_SECONDS": 0.1, "HTTP_WAIT_CAP_SECONDS": 0.3}
    receiver.answer_with(default=500)
    failure(caller(receiver).get, "/x")
    assert caller.waits == [0.1, 0.2, 0.3, 0.3]


def test_the_printed_flow(caller: Caller) -> None:
    """503, 0.5 s, timeout, 1 s, 200."""
    refusal = ok(b"", b"Connection: close", status=b"503 Service Unavailable")
    scripts: list[list[Any]] = [[READ, refusal], [READ, HANG], [READ, ok(b'{"ok": 1}')]]
    with ScriptedServer(*scripts) as server:
        assert caller(server, **FAST).get("/x") == {"ok": 1}
        assert len(server.requests) == 3
    assert caller.waits == [0.5, 1]


def test_retry_on_500_as_printed(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(Answer(500, body=b"Server Error"), Answer(200, body=b'{"status": "ok"}'))
    assert caller(receiver, max_retries=2).get("/test") == {"status": "ok"}
    assert caller.waits == [0.5]


def test_401_as_printed(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(Answer(401, body=b'{"error": "Unauthorized"}'))
    assert isinstance(failure(caller(receiver).get, "/test"), IntegrationAuthError)
    assert len(receiver.requests) == 1 and caller.waits == []


# -- Retry-After --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "wait"),
    [
        *(("2", 2), ("5", 5), ("0", 0.5), ("", 0.5), ("-1", 0.5), ("1.5", 0.5), ("soon", 0.5), (" 3 ", 3)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.5),  # long past
    ],
)
def test_a_short_retry_after_is_waited_for(
    caller: Caller, receiver: Receiver, status: int, value: str, wait: float
) -> None:
    receiver.answer_with(Answer(status, headers={"Retry-After": value}), 200)
    assert caller(receiver).get("/x") == {"ok": True}
    assert caller.waits == [wait]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["6", "120", "9" * 400, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_long_one_is_the_callers_to_decide(caller: Caller, receiver: Receiver, status: int, value: str) -> None:
    receiver.answer_with(Answer(status, headers={"Retry-After": value}))
    error = failure(caller(receiver).get, "/x")
    assert isinstance(error, IntegrationRateLimited if status == 429 else IntegrationTemporaryError)
    assert error.retry_after is not None and error.retry_after >= 6
    assert caller.waits == [] and len(receiver.requests) == 1


def test_a_date_is_measured_against_the_servers_own_clock(caller: Caller, receiver: Receiver) -> None:
    its_now = datetime.now(UTC) + timedelta(days=3)
    until = format_datetime(its_now + timedelta(seconds=4), usegmt=True)
    date = format_datetime(its_now, usegmt=True)
    receiver.answer_with(Answer(429, headers={"Retry-After": until, "Date": date}), 200)
    assert caller(receiver).get("/x") == {"ok": True}
    assert caller.waits == [4]


def test_the_attempts_bound_a_receiver_that_always_says_one_second(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(default=Answer(429, headers={"Retry-After": "1"}))
    assert failure(caller(receiver).get, "/x").retry_after == 1.0
    assert caller.waits == [1, 1]


def test_a_retry_after_elsewhere_means_nothing(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(default=Answer(500, headers={"Retry-After": "4"}))
    assert failure(caller(receiver).get, "/x").retry_after is None
    assert caller.waits == [0.5, 1]


# -- writes: once more only if it cannot be once too many -------------------------------------------------------

KEY = {"Idempotency-Key": "k-1"}


@pytest.mark.parametrize("script", [[READ, HANG], [READ, RESET], [READ, CLOSE], [READ, b"nonsense\r\n\r\n"]])
@pytest.mark.parametrize(
    ("method", "headers", "calls"),
    [
        ("POST", {}, 1),
        ("PATCH", {}, 1),
        ("POST", {"Idempotency-Key": ""}, 1),
        ("POST", KEY, 3),
        ("PATCH", {"idempotency-KEY": "k"}, 3),
        ("PUT", {}, 3),
        ("DELETE", {}, 3),
        ("get", {}, 3),
        ("HEAD", {}, 3),
    ],
)
def test_what_may_have_arrived_is_repeated_only_where_a_copy_does_no_harm(
    caller: Caller, script: list[Any], method: str, headers: Mapping[str, str], calls: int
) -> None:
    with ScriptedServer(script) as server:
        error = failure(caller(server, **FAST).request_json, method, "/x", headers=headers, json={"a": 1})
        assert isinstance(error, IntegrationTemporaryError) and error.was_sent
        assert len(server.requests) == calls
        assert len(set(server.requests)) == 1  # the same bytes, and the same key


@pytest.mark.parametrize("status", [500, 502, 504, 408, 503])
def test_a_post_that_failed_over_there_may_have_done_something(caller: Caller, receiver: Receiver, status: int) -> None:
    receiver.answer_with(default=status)
    assert failure(caller(receiver).post, "/x", json={}).status == status
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("status", "headers"), [(429, {}), (429, {"Retry-After": "1"}), (503, {"Retry-After": "1"})])
def test_a_post_that_was_refused_is_repeated(
    caller: Caller, receiver: Receiver, status: int, headers: dict[str, str]
) -> None:
    receiver.answer_with(Answer(status, headers=headers), 201)
    assert caller(receiver).post("/x", json={}) == {"ok": True}
    assert len(receiver.requests) == 2


def test_a_github_issue_is_not_created_twice_when_the_answer_is_late(caller: Caller) -> None:
    """It was created, and only the answer did not come in time."""
    with ScriptedServer([READ, HANG]) as server:
        client = caller(server, **FAST)
        error = failure(client.post, "/repos/owner/repo/issues", json={"title": "Bug"})
        created = [request for request in server.requests if request.startswith(b"POST /repos/owner/repo/issues")]
    assert isinstance(error, IntegrationTemporaryError) and error.code == "timeout"
    assert len(created) == 1 and caller.waits == []


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_post_is_repeated_when_the_connection_was_refused(caller: Caller) -> None:
    port = closed_port()
    guarded = GuardedClient(AddressPolicy(allowed_hosts=(f"127.0.0.1:{port}",)))
    started: list[ScriptedServer] = []

    def start_the_server_meanwhile(seconds: float) -> None:
        server = ScriptedServer([READ, ok(b"{}", status=b"201 Created")], port=port)
        started.append(server.__enter__())

    client = HTTPClient(f"http://127.0.0.1:{port}", client=guarded, sleep=start_the_server_meanwhile)
    try:
        assert client.post("/x", json={"a": 1}) == {}
        assert len(started) == 1 and len(started[0].requests) == 1
    finally:
        guarded.close()
        for server in started:
            server.__exit__()


def _unknown(host: str, port: int, timeout: float) -> list[str]:
    return resolve("no-such-name.invalid", port, timeout)


def _refused(host: str, port: int, timeout: float) -> list[str]:
    return ["127.0.0.1"]


@pytest.mark.parametrize(("lookup", "code"), [(_unknown, "dns_failed"), (_refused, "connect_failed")])
def test_what_never_left_is_tried_again(lookup: Callable[..., list[str]], code: str) -> None:
    waits: list[float] = []
    port = closed_port()
    guarded = GuardedClient(AddressPolicy(allowed_hosts=(f"api.test:{port}",)), resolve=lookup)
    client = HTTPClient(f"http://api.test:{port}", client=guarded, sleep=waits.append)
    error = failure(client.post, "/x", json={})
    assert isinstance(error, IntegrationTemporaryError) and error.code == code and not error.was_sent
    assert waits == [0.5, 1]


def test_a_failed_handshake_is_tried_again(caller: Caller) -> None:
    with ScriptedServer([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as server:
        client = caller(server, base=server.url("", scheme="https"))
        error = failure(client.post, "/x", json={})
        assert error.code == "tls_failed" and not error.was_sent and server.connections == 3
        assert server.requests == []
    assert caller.waits == [0.5, 1]


# -- credentials that can be renewed ------------------------------------------------------------------------------


class Renewable:
    """Tokens old-1, new-2, new-3, … one after the other."""

    def __init__(self, renewals: int) -> None:
        self.number, self.left, self.asked = 1, renewals, 0

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer token-{self.number}"}

    def renew(self, rejected: Mapping[str, str]) -> bool:
        self.asked += 1
        assert rejected == self.headers()
        self.number, self.left = self.number + 1, self.left - 1
        return self.left >= 0

    def secrets(self) -> tuple[str, ...]:
        return (f"token-{self.number}",)


def test_after_a_401_credentials_are_renewed_once(caller: Caller, receiver: Receiver) -> None:
    auth = Renewable(renewals=5)
    receiver.answer_with(401, 500, 200)
    assert caller(receiver, auth=auth).get("/x") == {"ok": True}
    sent = [request.headers["authorization"] for request in receiver.requests]
    assert sent == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
    assert caller.waits == [0.5]  # a renewal is no attempt and no pause


@pytest.mark.parametrize(("renewals", "calls"), [(5, 2), (0, 1)])
def test_a_second_401_is_final(caller: Caller, receiver: Receiver, renewals: int, calls: int) -> None:
    receiver.answer_with(default=401)
    auth = Renewable(renewals)
    assert isinstance(failure(caller(receiver, auth=auth).post, "/x", json={}), IntegrationAuthError)
    assert len(receiver.requests) == calls and auth.asked == 1


def test_403_renews_nothing(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(default=403)
    auth = Renewable(renewals=5)
    assert isinstance(failure(caller(receiver, auth=auth).get, "/x"), IntegrationAuthError)
    assert auth.asked == 0


# -- another reading of answers --------------------------------------------------------------------------------------


def test_a_call_may_read_answers_in_its_own_way(caller: Caller, receiver: Receiver) -> None:
    def strict(response: Any) -> IntegrationError | None:
        return IntegrationPermanentError("not ok", status=response.status)

    client = caller(receiver, classify=lambda response: None)
    receiver.answer_with(default=500)
    assert client.send("GET", "/x").status == 500
    assert isinstance(failure(client.send, "GET", "/x", classify=strict), IntegrationPermanentError)
