"""Kept connections: who may use them, what is never sent twice, what forks and threads leave alone, and HTTP/2."""

from __future__ import annotations

import gc
import os
import select
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import h2.connection
import h2.errors
import pytest

from integrations.errors import IntegrationTemporaryError
from integrations.tests.http2_server import Http2Server
from integrations.tests.scripted_server import CLOSE, HANG, READ, RESET, Drip, Endless, ScriptedServer, ok
from integrations.tests.throwaway_ca import ThrowawayCA
from integrations.transport.guard.check import check_url
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http import curl_handle, idle_pool
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.curl_handle import CurlHandle
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.response import Response

TLS = "n8n.example.com"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> ThrowawayCA:
    return ThrowawayCA(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def client_of(ca: ThrowawayCA) -> Iterator[Callable[..., GuardedClient]]:
    """A maker of clients that may talk to some servers, closed at the end."""
    made: list[GuardedClient] = []

    def make(*servers: Any, **options: Any) -> GuardedClient:
        names = [options.pop("name", server.host) for server in servers]
        policy = AddressPolicy(
            allowed_hosts=tuple(f"{name}:{server.port}" for name, server in zip(names, servers, strict=True))
        )
        options = {"timeout": 5.0, "ca_bundle": str(ca.bundle), "resolve": lambda *asked: ["127.0.0.1"], **options}
        made.append(GuardedClient(policy, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


def post(client: GuardedClient, server: Any, body: bytes = b"event", **options: Any) -> Response:
    return client.request("POST", server.url("/hook"), body=body, **options)


def failure(client: GuardedClient, server: Any, **options: Any) -> IntegrationTemporaryError:
    with pytest.raises(IntegrationTemporaryError) as caught:
        post(client, server, **options)
    return caught.value


def resting(client: GuardedClient) -> list[CurlHandle]:
    return [handle for entries in client._idle._idle.values() for handle, _ in entries]


def in_a_child(task: Callable[[], None]) -> None:
    """Run `task` in a forked process and fail if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of later Pythons: the server has threads
        pid = os.fork()
    if not pid:
        status = 1
        try:
            task()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


# -- which address, and when again ------------------------------------------------------------------------------


def test_a_kept_connection_is_not_resolved_again_and_an_old_one_is(
    client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int, seconds: float) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with ScriptedServer([READ, ok(b"", b"Keep-Alive: timeout=99")] * 9) as server:
        client = client_of(server, name="hooks.example.com", resolve=resolve)
        url = server.url("/", host="hooks.example.com")
        for _ in range(3):
            client.request("POST", url)
        assert (asked, server.connections) == (["hooks.example.com"], 1)
        monkeypatch.setattr(idle_pool, "MAX_AGE", 0.0)
        client.request("POST", url)  # it was young when it was put down
        client.request("POST", url)
        assert (len(asked), server.connections) == (2, 2)


def test_a_handle_without_a_socket_of_ours_connects_to_nothing() -> None:
    with ScriptedServer([READ, ok()]) as server:
        handle = CurlHandle("")
        target = check_url(server.url(), AddressPolicy(allowed_hosts=(f"{server.host}:{server.port}",)))
        with socket.create_connection((server.host, server.port)) as sock:
            handle.connect(target, sock, 1.0)
            assert handle.perform("GET", "/", [], b"", seconds=2, max_body=9) == 0
        assert server.connections == 1
        handle.disconnect()
        assert handle.perform("GET", "/", [], b"", seconds=2, max_body=9) != 0
        assert handle.was_refused
        assert not handle.was_sent
        handle.close()
        handle.close()
    assert server.connections == 1


def test_an_ipv6_address(client_of: Any, ca: ThrowawayCA) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener, ThreadPoolExecutor(1) as threads:

        def serve() -> bytes:
            sock, _ = listener.accept()
            with ca.server("::1").wrap_socket(sock, server_side=True) as tls:
                request = tls.recv(65536)
                tls.sendall(ok(b"six"))
            return request

        serving = threads.submit(serve)
        port = listener.getsockname()[1]
        client = GuardedClient(AddressPolicy(allowed_hosts=(f"[::1]:{port}",)), ca_bundle=str(ca.bundle), timeout=5)
        assert client.request("GET", f"https://[::1]:{port}/x").body == b"six"
        client.close()
        assert f"Host: [::1]:{port}\r\n".encode() in serving.result(5)


def test_the_environment_and_home_say_nothing(client_of: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login hush password hush\n")
    with ScriptedServer([READ, ok(b"", b"Set-Cookie: a=b"), READ, ok()]) as server:
        client = client_of(server)
        for _ in range(2):
            post(client, server)
    for request in server.requests:
        names = {line.partition(b":")[0].lower() for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]}
        assert names == {b"host", b"accept-encoding", b"user-agent", b"content-length"}


def test_a_large_body_goes_out_at_once(client_of: Any) -> None:  # no "Expect: 100-continue"
    with ScriptedServer([READ, ok()]) as server:
        assert post(client_of(server), server, b"x" * 3_000_000).status == 200
    assert b"expect" not in server.requests[0].partition(b"\r\n\r\n")[0].lower()


@pytest.mark.parametrize("path", ["/a/../b/./c", "//double//", "/a;b=1?q=%2e%2e/&r=[x]", "/%C3%A4?x=/../y"])
def test_the_path_goes_out_as_it_was_checked(client_of: Any, path: str) -> None:
    with ScriptedServer([READ, ok()]) as server:
        client_of(server).request("GET", server.url(path))
    assert server.requests[0].split(b" ")[1] == path.encode()


@pytest.mark.parametrize("value", ["", " ", "\t", "a; b", "x:y", " a", "é"])
def test_header_values_go_out_as_they_are(client_of: Any, value: str) -> None:
    with ScriptedServer([READ, ok()]) as server:
        client_of(server).request("GET", server.url(), headers={"X-Odd": value, "Accept": "text/plain"})
    lines = server.requests[0].split(b"\r\n")
    assert [line[6:].strip(b" \t") for line in lines if line.startswith(b"X-Odd:")] == [
        value.strip(" \t").encode("latin-1")
    ]
    assert b"Accept: text/plain" in lines


def test_methods_on_one_connection_do_not_mix(client_of: Any) -> None:
    methods = ["POST", "GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "GET", "POST"]
    with ScriptedServer(
        [step for method in methods for step in (READ, ok(b"" if method == "HEAD" else b"x"))]
    ) as server:
        client = client_of(server)
        for number, method in enumerate(methods):
            has_body = method in ("POST", "PUT", "PATCH") or number == 4
            client.request(method, server.url(f"/{number}"), body=b"b%d" % number if has_body else b"")
    assert server.connections == 1
    assert [request.split(b" ")[0].decode() for request in server.requests] == methods
    bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
    assert bodies == [b"b0", b"", b"b2", b"", b"b4", b"b5", b"", b"", b"b8"]


# -- nothing is sent twice, and nothing is lost ------------------------------------------------------------------


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("tls", [False, True])
def test_a_request_that_a_kept_connection_swallowed_is_not_sent_again(
    client_of: Any, ca: ThrowawayCA, end: Any, tls: bool
) -> None:
    context = ca.server("127.0.0.1") if tls else None
    with ScriptedServer([READ, ok(), READ, end], [READ, ok()], tls=context) as server:
        client = client_of(server)
        post(client, server, b"one")
        error = failure(client, server, body=b"two")
        assert error.was_sent
        assert error.code in ("connection_reset", "tls_failed")
        assert server.connections == 1
    assert [request[-3:] for request in server.requests] == [b"one", b"two"]


def test_a_connection_that_ends_unseen_before_the_request_costs_nothing(
    client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([READ, ok(), CLOSE], [READ, ok()]) as server:
        client = client_of(server)
        post(client, server)
        (handle,) = resting(client)
        assert select.select([handle], [], [], 5)[0]
        handle.disconnect()
        # As if the end came after the look and before libcurl's own.
        monkeypatch.setattr(CurlHandle, "is_quiet", True)
        assert post(client, server).status == 200
    assert len(server.requests) == 2


def test_a_stale_answer_right_after_another_is_not_taken_for_the_next(client_of: Any) -> None:
    # libcurl looks at a kept connection once a second; we look every time.
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    # The end of the body is waited for by itself, so libcurl leaves what follows it in the socket.
    script = [READ, head, Drip(b"on", 0.05), b"e" + ok(b"stale"), HANG]
    with ScriptedServer(script, [READ, ok(b"two")]) as server:
        client = client_of(server)
        assert post(client, server).body == b"one"
        for handle in resting(client):
            assert select.select([handle], [], [], 5)[0]
        assert post(client, server).body == b"two"


def test_an_answer_with_another_behind_it_over_tls_is_the_last_of_its_connection(
    client_of: Any, ca: ThrowawayCA
) -> None:
    script = [READ, ok(b"one") + ok(b"stale"), HANG]
    with ScriptedServer(script, [READ, ok(b"two")], tls=ca.server("127.0.0.1")) as server:
        client = client_of(server)
        assert [post(client, server).body for _ in range(2)] == [b"one", b"two"]
        assert server.connections == 2


def test_interim_answers_and_trailers_are_bounded(client_of: Any) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    with ScriptedServer([READ, Endless(b"HTTP/1.1 102 Wait\r\nX: " + b"y" * 900 + b"\r\n\r\n")]) as server:
        assert failure(client_of(server), server).code == "bad_response"
    with ScriptedServer([READ, chunked, Endless(b"T: " + b"y" * 900 + b"\r\n")]) as server:
        response = post(client_of(server), server)
    assert (response.status, response.body, response.body_cut) == (200, b"x", True)


@pytest.mark.parametrize(
    "head",
    [
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length: 1, 2\r\n",
        b"X: a\0b\r\n",
        b"X: a\rb\r\n",
    ],
)
def test_framing_that_nobody_can_trust_keeps_the_status_and_ends_the_connection(client_of: Any, head: bytes) -> None:
    with ScriptedServer([READ, b"HTTP/1.1 200 OK\r\n" + head + b"\r\nxx", HANG], [READ, ok()]) as server:
        client = client_of(server)
        response = post(client, server)
        assert (response.status, response.body, response.body_cut) == (200, b"", True)
        post(client, server)
        assert server.connections == 2


def test_a_brotli_bomb_stays_packed(client_of: Any) -> None:
    with ScriptedServer([READ, ok(b"\x5b\xff\xff\xff" * 9, b"Content-Encoding: br")]) as server:
        assert post(client_of(server), server).body == b"\x5b\xff\xff\xff" * 9


# -- TLS --------------------------------------------------------------------------------------------------------


def test_self_signed_certificate(client_of: Any, ca: ThrowawayCA) -> None:
    with ScriptedServer([READ, ok()], tls=ca.server("127.0.0.1", self_signed=True)) as server:
        error = failure(client_of(server), server)
    assert (error.code, error.was_sent, server.requests) == ("tls_failed", False, [])
    assert "self-signed" in error.message


def test_old_protocol_versions_are_refused(client_of: Any, ca: ThrowawayCA) -> None:
    context = ca.server("127.0.0.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with ScriptedServer([READ, ok()], tls=context) as server:
        error = failure(client_of(server), server)
    assert (error.code, error.was_sent, server.requests) == ("tls_failed", False, [])
    assert "no version of it that we accept" in error.message


def test_a_handshake_that_hangs_leaves_nothing_sent(client_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with ScriptedServer([HANG]) as server:
        client = client_of(server)
        with pytest.raises(IntegrationTemporaryError) as caught:
            client.request("POST", server.url("/", scheme="https"), timeout=0.3)
    assert (caught.value.code, caught.value.was_sent) == ("timeout", False)


def test_a_handle_that_served_one_host_proves_the_next_ones_name(client_of: Any, ca: ThrowawayCA) -> None:
    with (
        ScriptedServer([READ, ok(b"", b"Connection: close")], tls=ca.server("127.0.0.1")) as good,
        ScriptedServer([READ, ok()], tls=ca.server("other.example.com")) as bad,
    ):
        client = client_of(good, bad)
        post(client, good)
        assert len(client._idle._spare) == 1
        error = failure(client, bad)
        assert (error.code, error.was_sent, bad.requests) == ("tls_failed", False, [])
        assert not client._idle._spare  # it was taken up again


# -- threads and forks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_20_threads_at_once_get_their_own_answers(client_of: Any, ca: ThrowawayCA, tls: bool) -> None:
    """Each connection echoes a number of its own; a mix-up of handles would show as a wrong one."""
    barrier = threading.Barrier(20)
    context = ca.server("127.0.0.1") if tls else None
    with ScriptedServer([READ, ok(b"x" * 5000)] * 40, tls=context) as server:
        client = client_of(server)

        def work(number: int) -> list[int]:
            barrier.wait(10)
            return [len(client.request("POST", server.url(f"/{number}"), body=b"%d" % number).body) for _ in range(10)]

        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(work, range(20)))
    assert answers == [[5000] * 10] * 20
    assert server.connections <= 20
    assert sorted(request.rpartition(b"\r\n\r\n")[2] for request in server.requests) == sorted(
        b"%d" % number for number in range(20) for _ in range(10)
    )
    for request in server.requests:
        assert request.split(b" ")[1] == b"/" + request.rpartition(b"\r\n\r\n")[2]


def test_other_threads_run_while_one_waits(client_of: Any) -> None:
    with ScriptedServer([READ, HANG]) as server:
        client = client_of(server)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(failure, client, server, timeout=5)
            deadline = monotonic() + 5
            while not server.requests and monotonic() < deadline:  # this loop is the other thread
                pass
            assert server.requests
            assert not waiting.done()
            server.__exit__()
            assert waiting.result(5).code == "connection_reset"


@pytest.mark.parametrize("tls", [False, True])
def test_a_child_leaves_its_parents_connections_alone(client_of: Any, ca: ThrowawayCA, tls: bool) -> None:
    context = ca.server("127.0.0.1") if tls else None
    with ScriptedServer([READ, ok(b"x", b"Keep-Alive: timeout=50")] * 9, tls=context) as server:
        client = client_of(server)
        post(client, server, b"parent")

        def child() -> None:
            assert not resting(client)
            assert post(client, server, b"child").body == b"x"
            client.close()
            # What the end of an interpreter does; over TLS it says goodbye.
            for handle in curl_handle._forsaken:
                handle.close()
            gc.collect()

        in_a_child(child)
        (kept,) = resting(client)
        assert kept.is_quiet
        assert post(client, server, b"parent").body == b"x"
        assert resting(client) == [kept]
    assert server.connections == 2
    assert [request.rpartition(b"\r\n\r\n")[2] for request in server.requests] == [b"parent", b"child", b"parent"]


def test_a_child_keeps_a_file_that_took_the_number_of_a_connection(client_of: Any, tmp_path: Path) -> None:
    with ScriptedServer([READ, ok(b"x")]) as server:
        client = client_of(server)
        post(client, server)
        (handle,) = resting(client)
        file = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        connection, handle._fd = handle._fd, file  # as if libcurl had closed it and somebody opened a file

        def child() -> None:
            os.write(file, b"still here")

        try:
            in_a_child(child)
        finally:
            handle._fd = connection
            os.close(file)
    assert (tmp_path / "log").read_bytes() == b"still here"


def test_a_child_does_not_inherit_a_connection_through_exec(client_of: Any) -> None:
    with ScriptedServer([READ, ok(b"x")]) as server:
        client = client_of(server)
        post(client, server)
        assert [os.get_inheritable(handle.fileno()) for handle in resting(client)] == [False]


# -- the pool ----------------------------------------------------------------------------------------------------


def test_what_rests_too_long_is_closed_though_nobody_asks_for_it(
    client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([READ, ok(), HANG]) as one, ScriptedServer([READ, ok(), READ, ok(), HANG]) as two:
        client = client_of(one, two)
        post(client, one)
        now = monotonic()
        monkeypatch.setattr(idle_pool, "monotonic", lambda: now + 10)
        post(client, two)
        assert [key[2] for key in client._idle._idle] == [two.port]
        assert len(client._idle._spare) == 1


def test_secrets_do_not_rest_in_a_spare_handle(client_of: Any) -> None:
    with ScriptedServer([READ, ok(b"", b"Connection: close")], [READ, ok(b"second")]) as server:
        client = client_of(server)
        client.request("POST", server.url("/hush"), headers={"X-API-Key": "hush"}, body=b"hush")
        (spare,) = client._idle._spare
        with socket.create_connection((server.host, server.port)) as sock:
            target = check_url(server.url(), client.policy)
            spare.connect(target, sock, 1.0)
            spare._curl.setopt(curl_handle.pycurl.TIMEOUT_MS, 3000)
            spare._curl.perform()
    assert b"hush" not in server.requests[1]


# -- HTTP/2 --------------------------------------------------------------------------------------------------------


def test_http_2_where_the_server_offers_it(client_of: Any, ca: ThrowawayCA) -> None:
    with Http2Server(ca.server("127.0.0.1")) as server:
        client = client_of(server)
        for number in range(3):
            response = post(client, server, b"event %d" % number, headers={"X-API-Key": "k", "X-Empty": ""})
            assert (response.status, response.body) == (200, b"event %d" % number)
            assert (response.headers["X-Proto"], response.headers["x-two"]) == ("h2", "1, 2")
        large = post(client, server, b"y" * 500_000)
        assert (large.body, large.body_cut) == (b"y" * 65536, True)
        assert server.connections == 1
    headers, _ = server.requests[0]
    assert (headers[":method"], headers[":path"], headers[":authority"]) == (
        "POST",
        "/hook",
        f"127.0.0.1:{server.port}",
    )
    assert (headers["x-api-key"], headers["x-empty"], headers["content-length"]) == ("k", "", "7")
    assert not headers.keys() & {"expect", "accept", "content-type", "connection"}


def refuse(connection: h2.connection.H2Connection, stream: int, headers: Any, body: bytes) -> None:
    connection.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)


def go_away(connection: h2.connection.H2Connection, stream: int, headers: Any, body: bytes) -> None:
    connection.close_connection(last_stream_id=0)


def demand_http_1(connection: h2.connection.H2Connection, stream: int, headers: Any, body: bytes) -> None:
    connection.reset_stream(stream, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)


@pytest.mark.parametrize("answer", [refuse, go_away, demand_http_1])
def test_http_2_sends_nothing_twice(client_of: Any, ca: ThrowawayCA, answer: Any) -> None:
    with Http2Server(ca.server("127.0.0.1"), answer) as server:
        error = failure(client_of(server), server)
        assert (error.was_sent, len(server.requests), server.connections) == (True, 1, 1)
    assert error.code in ("connection_reset", "bad_response")


def half(connection: h2.connection.H2Connection, stream: int, headers: Any, body: bytes) -> None:
    connection.send_headers(stream, [(":status", "200")])
    connection.send_data(stream, b"half")
    connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)


def many_headers(connection: h2.connection.H2Connection, stream: int, headers: Any, body: bytes) -> None:
    connection.send_headers(stream, [(":status", "200"), *((f"x-{n}", "y") for n in range(200))], end_stream=True)


def test_http_2_answers_that_break(client_of: Any, ca: ThrowawayCA) -> None:
    with Http2Server(ca.server("127.0.0.1"), half) as server:
        response = post(client_of(server), server)
        assert (response.status, response.body_cut) == (200, True)
    with Http2Server(ca.server("127.0.0.1"), many_headers) as server:
        assert failure(client_of(server), server).code == "bad_response"
