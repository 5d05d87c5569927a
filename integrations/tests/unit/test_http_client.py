"""The client against a server that misbehaves on purpose: what comes back, how soon, and what does not leak."""

from __future__ import annotations

import gzip
import os
import select
import socket
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from integrations.errors import IntegrationBlocked, IntegrationError, IntegrationTemporaryError
from integrations.tests.case_files import params
from integrations.tests.effort import waiting
from integrations.tests.scripted_server import (
    ANY,
    CLOSE,
    HANG,
    READ,
    RESET,
    Drip,
    Endless,
    ScriptedServer,
    ok,
)
from integrations.tests.throwaway_ca import ThrowawayCA
from integrations.transport.classify import error_for
from integrations.transport.guard import resolver
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http import idle_pool
from integrations.transport.http.curl_handle import CurlHandle
from integrations.transport.http.guarded_client import GuardedClient, clamp_timeout
from integrations.transport.response import Headers, Response

SECRET_PATH = "/services/hush/hush?token=hush"
SECRET_HEADERS = {"X-API-Key": "hush", "Content-Type": "application/json"}
LIMIT = 0.4  # seconds; the deadline in tests of slowness
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> ThrowawayCA:
    return ThrowawayCA(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def clients() -> Iterator[Any]:
    """A maker of clients that may talk to one scripted server, closed at the end."""
    made: list[GuardedClient] = []

    def make(server: ScriptedServer, **options: Any) -> GuardedClient:
        name = options.pop("name", server.host)
        options.setdefault("timeout", 5.0)
        policy = AddressPolicy(allowed_hosts=(f"{name}:{server.port}",))
        client = GuardedClient(policy, resolve=lambda host, port, timeout: [server.host], **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def post(client: GuardedClient, server: ScriptedServer, **options: Any) -> Response:
    options.setdefault("headers", SECRET_HEADERS)
    return client.request("POST", server.url(SECRET_PATH), body=b"hush" * 10, **options)


def failure(client: GuardedClient, server: ScriptedServer, **options: Any) -> Any:
    """Return the error of a request, having looked for leaks."""
    with pytest.raises(IntegrationError) as caught:
        post(client, server, **options)
    error = caught.value
    assert "hush" not in f"{error} {error!r} {error.args} {vars(error)}"
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


def resting(client: GuardedClient) -> list[CurlHandle]:
    """Return the handles whose connections are kept."""
    return [handle for entries in client._idle._idle.values() for handle, _ in entries]


def stir(client: GuardedClient) -> None:
    """Wait until something happens on the kept connections."""
    for handle in resting(client):
        assert select.select([handle], [], [], 5)[0]


# -- answers ------------------------------------------------------------------------------------------


def test_request_and_answer(clients: Any) -> None:
    with ScriptedServer([READ, ok(b"hello", b"X-Two: 1", b"X-Two: 2")]) as server:
        started = monotonic()
        response = post(clients(server), server)
        took = monotonic() - started
    assert (response.status, response.body, response.body_cut) == (200, b"hello", False)
    assert response.headers["x-two"] == response.headers["X-TWO"] == "1, 2"
    assert 0 <= response.elapsed_ms <= took * 1000 + 1
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b"hush" * 10
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST {SECRET_PATH} HTTP/1.1"
    assert f"Host: {server.host}:{server.port}" in lines
    assert "Content-Length: 40" in lines
    assert "X-API-Key: hush" in lines
    assert [line for line in lines if line.lower().startswith("user-agent:")] == ["User-Agent: workitem-outbox/0.1"]


def test_own_user_agent_latin_1_and_methods(clients: Any) -> None:
    with ScriptedServer([READ, ok(), READ, ok(b"not a body")[:-10], READ, ok()]) as server:
        client = clients(server)
        client.request("POST", server.url(), headers={"user-agent": "café"})
        assert client.request("HEAD", server.url()).body == b""
        client.request("GET", server.url())
    assert b"user-agent: caf\xe9\r\n" in server.requests[0]
    assert server.requests[0].count(b"ser-") == 1
    assert b"Content-Length: 0" in server.requests[0]
    assert b"Content-Length" not in server.requests[2]
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "body", "reused"),
    [
        (ok(b"x"), b"x", True),
        (ok(status=b"204 No Content"), b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", b"x", True),
        (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n", b"abcde", True),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 300 + ok(b"x"), b"x", True),  # B090
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(b"x"), b"x", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (ok(b"hello", status=b"204 No Content"), b"", False),  # B083
        (ok(b"x", b"Connection: close"), b"x", False),
        (ok(b"x", b"Keep-Alive: timeout=1"), b"x", False),  # it may close before we are back
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n  b\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (
            CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n") + b"1\r\nx\r\n0\r\n\r\n",
            b"x",
            False,
        ),
        (ok(b"x") + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale", b"x", False),
    ],
)
def test_framing_and_reuse(clients: Any, answer: bytes, body: bytes, reused: bool) -> None:
    with ScriptedServer([READ, answer, READ, ok(b"second")]) as server:
        client = clients(server)
        response = post(client, server)
        assert (response.body, response.body_cut) == (body, False)
        post(client, server)
        assert server.connections == (1 if reused else 2)


def test_body_until_close(clients: Any) -> None:
    with ScriptedServer([READ, b"HTTP/1.1 200 OK\r\n\r\nall of it"]) as server:
        response = post(clients(server), server)
    assert (response.body, response.body_cut) == (b"all of it", False)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (b"gzip", gzip.compress(b"hello", mtime=0)),
        (b"X-GZIP", gzip.compress(b"hello", mtime=0)),
        (b"deflate", zlib.compress(b"hello")),
        (b"deflate", zlib.compress(b"hello")[2:-4]),  # without the zlib frame, as some servers do
        (b"utf-8", b"hello"),
        (b"identity", b"hello"),
    ],
)
def test_decompression(clients: Any, encoding: bytes, packed: bytes) -> None:
    with ScriptedServer([READ, ok(packed, b"Content-Encoding: " + encoding), READ, ok()]) as server:
        client = clients(server)
        assert post(client, server).body == b"hello"
        post(client, server)
    assert server.connections == 1


# -- a status was seen: the body cannot make it a failure -------------------------------------------------

BOMB = gzip.compress(b"\0" * 50_000_000)
CUT_BODIES = {
    "B138 shorter than its length": [ok(b"x" * 10)[:-4], CLOSE],
    "B141 invalid chunk size": [CHUNKED + b"ZZ\r\nabc\r\n"],
    "chunk without end": [CHUNKED + b"3\r\nabcXX"],
    "endless chunk-size line": [CHUNKED, Endless(b"1" * 999)],
    "endless trailers": [CHUNKED + b"0\r\n", Endless(b"A: b\r\n")],
    "B145 reset in the body": [ok(b"x" * 10)[:-4], RESET],
    "B149 endless chunked body": [CHUNKED, Endless(b"10000\r\n" + b"x" * 65536 + b"\r\n")],
    "endless body until close": [b"HTTP/1.1 200 OK\r\n\r\n", Endless(b"x" * 65536)],
    "over the cap": [ok(b"x" * 65537)],
    "gzip bomb": [ok(BOMB, b"Content-Encoding: gzip")],
    "gzip of nothing, for ever": [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        gzip.compress(b"")[:10],
        Endless(b"\0\0\0\xff\xff" * 2000),
    ],
    "not gzip": [ok(b"hello", b"Content-Encoding: gzip")],
    "gzip cut off": [ok(gzip.compress(os.urandom(500))[:-100], b"Content-Encoding: gzip")],
    "a line that is no header": [b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 1\r\n\r\nx", HANG],
    "unreadable length": [b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", HANG],
    "dripping body": [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", Drip(b"x" * 9999)],
    "dripping chunks": [CHUNKED, Drip(b"1\r\nx\r\n" * 999)],
    "silence after the head": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", HANG],
}


@pytest.mark.parametrize("script", CUT_BODIES.values(), ids=CUT_BODIES)
def test_success_with_a_cut_body(clients: Any, script: list[Any]) -> None:
    with ScriptedServer([READ, *script], [READ, ok()]) as server:
        client = clients(server)
        with waiting() as waited:
            response = post(client, server, timeout=LIMIT)
        assert waited.seconds < LIMIT + 1
        assert (response.status, response.body_cut) == (200, True)
        assert len(response.body) <= 65536
        assert error_for(response, host="h") is None
        post(client, server)
        assert server.connections == 2  # the broken one is not used again


def test_cap_keeps_the_beginning(clients: Any) -> None:
    with ScriptedServer([READ, ok(b"abcdef")]) as server:
        assert post(clients(server, max_response_bytes=4), server).body == b"abcd"
    with ScriptedServer([READ, ok(b"abcd")]) as server:
        response = post(clients(server, max_response_bytes=4), server)
    assert (response.body, response.body_cut) == (b"abcd", False)


# -- no believable answer: temporary, within the deadline -------------------------------------------------

NO_ANSWER: dict[str, tuple[list[Any], str]] = {
    "B135 garbage status line": ([b"SSH-2.0-OpenSSH_9.6\r\n", HANG], "bad_response"),
    "B136 HTTP/0.9": ([b"<html>\n"], "bad_response"),
    "B136 HTTP/0.9, and then nothing": ([b"<html>", HANG], "bad_response"),
    "unreadable status": ([b"HTTP/1.1 2OO OK\r\n\r\n"], "bad_response"),
    "status 099": ([b"HTTP/1.1 099 X\r\n\r\n"], "bad_response"),
    "HTTP/2.0": ([b"HTTP/2.0 200 OK\r\n\r\n"], "bad_response"),
    "B162 HTTP/2 frames": ([b"\0\0\x12\x04\0\0\0\0\0", HANG], "bad_response"),
    "B093 101": ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", HANG], "bad_response"),
    "B140 two lengths": (
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"],
        "bad_response",
    ),
    "B142 200 headers": ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"], "bad_response"),
    "endless header": ([b"HTTP/1.1 200 OK\r\nX: ", Endless(b"y" * 9999)], "bad_response"),
    "103 and nothing after it": ([b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", HANG], "timeout"),
    "103 and the end": ([b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"], "bad_response"),
    "B091 endless 100": ([Endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)], "bad_response timeout"),
    "slow endless 100": ([Drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 99, 0.005)], "timeout"),
    "B144 reset": ([RESET], "connection_reset"),
    "closed without a byte": ([CLOSE], "connection_reset"),
    "B151 slow-loris head": ([Drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 999)], "timeout"),
    "B154 silence": ([HANG], "timeout"),
}


@pytest.mark.parametrize(("script", "code"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_no_believable_answer(clients: Any, script: list[Any], code: str) -> None:
    with ScriptedServer([READ, *script]) as server:
        with waiting() as waited:
            error = failure(clients(server), server, timeout=LIMIT)
        assert waited.seconds < LIMIT + 1
    assert isinstance(error, IntegrationTemporaryError)
    assert error.code in code.split()  # a flood ends by its count or, on a slow machine, by the deadline
    assert server.connections == 1  # never sent twice


@pytest.mark.parametrize("case", params("ssrf-cases", lambda case: case["expect"]["stage"] == "response"))
def test_redirects_are_answers_and_not_followed(clients: Any, case: dict[str, Any]) -> None:
    told = case["response"]
    location = b"Location: " + told["location"].encode()
    with ScriptedServer([READ, ok(b"", location, status=b"%d Moved" % told["status"])]) as server:
        response = post(clients(server), server)
        error = error_for(response, host="h")
        assert server.connections == 1
    assert response.status == told["status"]
    assert error is not None
    assert error.code == case["expect"]["reason"]


def test_early_answer_to_a_body_that_nobody_reads(clients: Any) -> None:
    with ScriptedServer([ok(status=b"413 Too Large"), HANG]) as server:
        response = clients(server).request("POST", server.url(), body=b"x" * 200_000, timeout=2)
    assert response.status == 413


def test_body_that_nobody_reads_ends_at_the_deadline(clients: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port = listener.getsockname()[1]
        client = GuardedClient(AddressPolicy(allowed_hosts=(f"127.0.0.1:{port}",)))
        with waiting() as waited, pytest.raises(IntegrationTemporaryError) as caught:
            client.request("POST", f"http://127.0.0.1:{port}/", body=b"x" * 20_000_000, timeout=LIMIT)
        assert waited.seconds < LIMIT + 1
    assert caught.value.code == "timeout"


# -- kept connections -------------------------------------------------------------------------------------


def test_connection_closed_by_the_server_is_noticed_before_sending(clients: Any) -> None:
    with ScriptedServer([READ, ok(), CLOSE]) as server:
        client = clients(server)
        for _ in range(5):
            post(client, server)
            stir(client)  # wait for the FIN, without sleeping
    assert server.connections == 5
    assert len(server.requests) == 5


def test_unasked_bytes_on_a_kept_connection_are_never_an_answer(clients: Any) -> None:
    with ScriptedServer([READ, ok(b"one"), ok(b"stale"), HANG], [READ, ok(b"two")]) as server:
        client = clients(server)
        assert post(client, server).body == b"one"
        stir(client)
        assert post(client, server).body == b"two"


def test_reset_on_a_kept_connection_is_reported_not_repeated(clients: Any) -> None:
    with ScriptedServer([READ, ok(), READ, RESET], [READ, ok()]) as server:
        client = clients(server)
        post(client, server)
        assert failure(client, server).code == "connection_reset"
        assert len(server.requests) == 2
        assert post(client, server).status == 200


def test_idle_and_old_connections_are_not_reused(clients: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([READ, ok(b"", b"Keep-Alive: timeout=50"), READ, ok()]) as server:
        client = clients(server)
        now = monotonic()
        post(client, server)
        monkeypatch.setattr(idle_pool, "monotonic", lambda: now + 48)
        post(client, server)
        assert server.connections == 1
        monkeypatch.setattr(idle_pool, "monotonic", lambda: now + 48 + 5)  # nothing promised: 4 s
        post(client, server)
        assert server.connections == 2


def test_pool_is_bounded(clients: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_pool, "MAX_IDLE", 2)
    script = [READ, ok(), READ, ok(), HANG]
    with ScriptedServer(script) as one, ScriptedServer(script) as two, ScriptedServer(script) as three:
        servers = (one, two, three)
        policy = AddressPolicy(allowed_hosts=tuple(f"127.0.0.1:{server.port}" for server in servers))
        client = GuardedClient(policy)
        for server in servers:
            post(client, server)
        assert [key[2] for key in client._idle._idle] == [two.port, three.port]
        post(client, two)
        assert [server.connections for server in servers] == [1, 1, 1]
        post(client, one)
        assert [key[2] for key in client._idle._idle] == [two.port, one.port]
        client.close()


def test_one_client_in_32_threads(clients: Any) -> None:
    with ScriptedServer([READ, ok(b"x")] * 320) as server:  # one connection may serve them all
        client = clients(server)
        with ThreadPoolExecutor(32) as threads:
            answers = list(threads.map(lambda _: post(client, server), range(320)))
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"x")}
    assert len(server.requests) == 320
    assert server.connections <= 40


def test_closed_client_keeps_nothing(clients: Any) -> None:
    with ScriptedServer([READ, ok()]) as server:
        client = clients(server)
        client.close()
        post(client, server)
        assert not client._idle._idle


# -- dialling ---------------------------------------------------------------------------------------------


def test_connects_to_the_checked_address_and_keeps_the_name(clients: Any) -> None:
    with ScriptedServer([READ, ok()]) as server:
        client = clients(server, name="n8n.example.com")
        client.request("POST", server.url("/x", host="n8n.example.com"))
    assert f"Host: n8n.example.com:{server.port}".encode() in server.requests[0]


def test_answers_are_tried_in_turn(clients: Any) -> None:
    with ScriptedServer([READ, ok()]) as server:
        client = clients(server, name="hooks.example.com")
        client._resolve = lambda host, port, timeout: ["127.0.0.2", "127.0.0.3", server.host]
        assert client.request("POST", server.url("/", host="hooks.example.com")).status == 200


def test_refused_connection(clients: Any) -> None:
    with ScriptedServer([]) as server:
        pass
    assert failure(clients(server), server).code == "connect_failed"


def test_connect_timeout(clients: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ScriptedServer([]) as server:
        server.port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]  # a full backlog drops what comes next
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            error = failure(clients(server, connect_timeout=LIMIT), server)
        finally:
            for filler in fillers:
                filler.close()
    assert error.code == "timeout"


def test_name_that_rebinds_is_caught_at_the_dial() -> None:
    answers = iter([["10.0.0.9"]])
    client = GuardedClient(AddressPolicy(), resolve=lambda host, port, timeout: next(answers))
    with pytest.raises(IntegrationBlocked) as caught:
        client.request("POST", "https://rebind.example.com/hush")
    assert (caught.value.reason, caught.value.code) == ("ip_blocked", "ssrf_blocked")
    with pytest.raises(IntegrationTemporaryError) as later:  # StopIteration: resolvers may fail in any way
        client.request("POST", "https://rebind.example.com/hush")
    assert later.value.code == "dns_failed"


# -- TLS --------------------------------------------------------------------------------------------------


def test_tls_checks_the_name_and_keeps_the_connection(clients: Any, ca: ThrowawayCA) -> None:
    with ScriptedServer([READ, ok(b"x"), READ, ok(b"y" * 40_000)], tls=ca.server("n8n.example.com")) as server:
        client = clients(server, name="n8n.example.com", ca_bundle=str(ca.bundle))
        url = server.url(SECRET_PATH, host="n8n.example.com")
        assert client.request("POST", url, body=b"z" * 100_000).body == b"x"
        assert client.request("POST", url).body == b"y" * 40_000
    assert server.connections == 1
    assert server.requests[0].endswith(b"z" * 100_000)


@pytest.mark.parametrize(
    ("certificate", "trusted", "words"),
    [
        ({"host": "other.example.com"}, True, "mismatch"),
        ({"host": "n8n.example.com", "expired": True}, True, "expired"),
        ({"host": "n8n.example.com"}, False, "cannot be trusted"),
    ],
)
def test_bad_certificate(clients: Any, ca: ThrowawayCA, certificate: dict[str, Any], trusted: bool, words: str) -> None:
    with ScriptedServer([READ, ok()], tls=ca.server(**certificate)) as server:
        client = clients(server, name="n8n.example.com", ca_bundle=str(ca.bundle) if trusted else "")
        with pytest.raises(IntegrationTemporaryError, match=f"(?i){words}") as caught:
            client.request("POST", server.url("/hush", host="n8n.example.com"))
    assert caught.value.code == "tls_failed"
    assert not server.requests
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("script", "code"), [([HANG], "timeout"), ([CLOSE], "tls_failed"), ([ANY, RESET], "tls_failed")]
)
def test_no_handshake(clients: Any, script: list[Any], code: str) -> None:
    with ScriptedServer(script) as server:
        client = clients(server)
        with pytest.raises(IntegrationTemporaryError) as caught:
            client.request("POST", server.url("/hush", scheme="https"), timeout=LIMIT)
    assert caught.value.code == code


def test_plain_http_on_a_tls_port(clients: Any) -> None:  # B160
    with ScriptedServer([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as server:
        client = clients(server)
        with pytest.raises(IntegrationTemporaryError) as caught:
            client.request("POST", server.url("/hush", scheme="https"), timeout=2)
    assert caught.value.code == "tls_failed"


def test_deadline_holds_over_tls(clients: Any, ca: ThrowawayCA) -> None:
    script = [READ, Drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 999)]
    with ScriptedServer(script, tls=ca.server("127.0.0.1")) as server:
        client = clients(server, ca_bundle=str(ca.bundle))
        with waiting() as waited:
            assert failure(client, server, timeout=LIMIT).code == "timeout"
        assert waited.seconds < LIMIT + 1


def test_unreadable_ca_bundle_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="CA_BUNDLE"):
        GuardedClient(AddressPolicy(), ca_bundle=str(tmp_path / "none.pem"))


# -- what may be asked ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X": "hush\r\nX-Evil: 1"}, "header_invalid"),
        ({"X": "hush\n"}, "header_invalid"),
        ({"X": "hush\r"}, "header_invalid"),
        ({"X": "hush\0"}, "header_invalid"),
        ({"X": "hush日"}, "header_invalid"),
        ({"X": 5}, "header_invalid"),
        ({"X": "hush" * 9999}, "header_invalid"),
        ({"X Y": "hush"}, "header_invalid"),
        ({"X\r\nY": "hush"}, "header_invalid"),
        ({"": "hush"}, "header_invalid"),
        ({"Host": "hush"}, "header_forbidden"),
        ({"content-length": "3"}, "header_forbidden"),
        ({"Transfer-Encoding": "chunked"}, "header_forbidden"),
        ({"Proxy-Authorization": "hush"}, "header_forbidden"),
        ({"Metadata-Flavor": "Google"}, "header_forbidden"),
    ],
)
def test_stored_bad_header_is_never_sent(clients: Any, headers: Any, code: str) -> None:
    with ScriptedServer([READ, ok()]) as server:
        error = failure(clients(server), server, headers=headers)
        assert (error.code, server.connections) == (code, 0)


def test_odd_methods_and_bodies_are_errors_of_ours(clients: Any) -> None:
    with ScriptedServer([READ, ok()]) as server:
        client = clients(server)
        for method in ("CONNECT", "post", "GET / HTTP/1.1\r\nX: y"):
            with pytest.raises(IntegrationError):
                client.request(method, server.url())
        with pytest.raises(IntegrationTemporaryError, match="TypeError"):
            client.request("POST", server.url(), body="text")  # type: ignore[arg-type]
        assert server.connections == 0


@pytest.mark.parametrize("error", [RuntimeError("hush"), UnicodeError("hush"), OverflowError("hush"), MemoryError()])
def test_anything_unforeseen_is_temporary(
    clients: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:  # B164
    def explode(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(client_module, "exchange", explode)
    with ScriptedServer([READ, ok()]) as server:
        found = failure(clients(server), server)
    assert isinstance(found, IntegrationTemporaryError)
    assert found.code == "unexpected"


def test_traceback_holds_no_secret_local(clients: Any) -> None:
    with ScriptedServer([READ, RESET]) as server, pytest.raises(IntegrationTemporaryError) as caught:
        post(clients(server), server)
    frames = [entry.frame for entry in caught.traceback if "/integrations/transport/" in str(entry.path)]
    assert len(frames) == 1
    assert "hush" not in repr(frames[0].f_locals)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((0, 1), (-1, 1), ("5", 5), (float("inf"), 60), (float("-inf"), 1), (10**400, 30)),
        *((float("nan"), 30), ("", 30), ("abc", 30), (None, 30), ([], 30), (2.5, 2.5), (1e9, 60)),
    ],
)
def test_timeouts_are_clamped(monkeypatch: pytest.MonkeyPatch, value: Any, seconds: float) -> None:  # B163
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 1.0)
    assert clamp_timeout(value) == seconds


def test_from_conf(settings: Any) -> None:
    settings.INTEGRATIONS = {"TIMEOUT_SECONDS": "7", "MAX_RESPONSE_BYTES": 10, "OWN_HOSTS": ["a.example"]}
    client = GuardedClient.from_conf()
    assert (client._timeout, client._max_body, client.policy.own_hosts) == (7.0, 10, ("a.example",))


def test_proxy_variables_are_ignored(clients: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with ScriptedServer([READ, ok()]) as server:
        assert post(clients(server), server).status == 200


def test_repr_is_quiet() -> None:
    response = Response(200, Headers([("Set-Cookie", "sid=hush")]), b"hush")
    assert "hush" not in repr(response) + repr(response.headers)


# -- name lookups -----------------------------------------------------------------------------------------


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], threading.Event]]:
    """A resolver that hangs on names with "hang" in them until the event is set; the names it was asked for."""
    asked: list[str] = []
    release = threading.Event()

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        asked.append(host)
        if "hang" in host:
            release.wait(10)
        if "gone" in host:
            raise socket.gaierror(socket.EAI_NONAME, "hush")
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))
        return [address, address]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(resolver, "MAX_LOOKUPS", 2)
    monkeypatch.setattr(resolver, "_lookups", resolver._Lookups())
    yield asked, release
    release.set()


def test_lookup(lookups: Any) -> None:
    assert resolver.resolve("ok.example", 443, 2) == ["93.184.216.34"]


@pytest.mark.parametrize("host", ["gone.example", "hang.example"])
def test_failed_lookup(lookups: Any, host: str) -> None:
    with pytest.raises(IntegrationTemporaryError) as caught:
        resolver.resolve(host, 443, 0.1)
    assert caught.value.code == "dns_failed"
    assert "hush" not in str(caught.value)


def test_hanging_name_takes_one_slot_and_starves_nobody(lookups: Any) -> None:
    asked, release = lookups
    for _ in range(5):
        with pytest.raises(IntegrationTemporaryError):
            resolver.resolve("hang.example", 443, 0.01)
    assert asked == ["hang.example"]
    assert resolver.resolve("ok.example", 443, 2)
    with pytest.raises(IntegrationTemporaryError):
        resolver.resolve("hang2.example", 443, 0.01)
    with pytest.raises(IntegrationTemporaryError, match="too many lookups"):
        resolver.resolve("ok.example", 443, 0.01)
    release.set()
    assert resolver.resolve("ok.example", 443, 2)


def test_lookup_counts_within_the_deadline(lookups: Any) -> None:  # B156
    with waiting() as waited, pytest.raises(IntegrationTemporaryError) as caught:
        GuardedClient(AddressPolicy()).request("POST", "https://hang.example/", timeout=0.1)
    assert caught.value.code == "dns_failed"
    assert waited.seconds < 2
