"""HTTPClient: its calls, what they return, and what each answer means."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from integrations.errors import (
    IntegrationAuthError,
    IntegrationBlocked,
    IntegrationError,
    IntegrationGone,
    IntegrationMoved,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.callers import Caller, failure
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.scripted_server import HANG, READ, RESET, ScriptedServer, ok
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.http.outgoing import absolute, merged, origin, with_query
from integrations.transport.http_client import HTTPClient

# -- as printed -------------------------------------------------------------------------------------------


def test_the_constructor_takes_what_is_printed_and_has_the_printed_defaults(settings: Any) -> None:
    names = list(inspect.signature(HTTPClient).parameters)
    assert names[:4] == ["base_url", "headers", "timeout", "max_retries"]
    assert HTTPClient("https://api.example.com").policy.max_attempts == 3
    assert GuardedClient.from_conf()._timeout == 30.0  # what timeout=None means
    settings.INTEGRATIONS = {"HTTP_MAX_ATTEMPTS": 7, "TIMEOUT_SECONDS": 10.0}
    assert HTTPClient("https://api.example.com").policy.max_attempts == 7
    assert GuardedClient.from_conf()._timeout == 10.0


@pytest.mark.parametrize(("given", "attempts"), [(1, 1), (0, 1), (-3, 1), (5, 5), (None, 3)])
def test_max_retries_counts_attempts_and_there_is_always_one(given: int | None, attempts: int) -> None:
    assert HTTPClient("https://api.example.com", max_retries=given).policy.max_attempts == attempts


@pytest.mark.parametrize(
    ("name", "keywords", "body"),
    [
        ("get", {"params": {"q": "a b", "page": 2, "tag": ["x", "y"], "none": None, "draft": True}}, b""),
        ("post", {"json": {"title": "Bug"}}, b'{"title":"Bug"}'),
        ("post", {"data": {"grant": "a&b", "n": 1}}, b"grant=a%26b&n=1"),
        ("post", {"data": "plain ü"}, "plain ü".encode()),
        ("post", {"data": b"\xff\x00"}, b"\xff\x00"),
        ("post", {}, b""),
        ("patch", {"json": ["a", 1, None]}, b'["a",1,null]'),
        ("put", {"json": {}}, b"{}"),
        ("delete", {}, b""),
    ],
)
def test_convenience_methods(
    caller: Caller, receiver: Receiver, name: str, keywords: dict[str, Any], body: bytes
) -> None:
    client = caller(receiver, headers={"X-Fixed": "1"})
    result = getattr(client, name)("/repos/owner/repo", headers={"X-Own": "2"}, **keywords)
    assert result == {"ok": True}
    (request,) = receiver.requests
    assert (request.method, request.body) == (name.upper(), body)
    assert request.path.partition("?")[0] == "/repos/owner/repo"
    assert (request.headers["x-fixed"], request.headers["x-own"]) == ("1", "2")
    if "params" in keywords:
        assert request.path.partition("?")[2] == "q=a+b&page=2&tag=x&tag=y&draft=true"


def test_a_body_says_what_it_is(caller: Caller, receiver: Receiver) -> None:
    client = caller(receiver)
    for keywords in ({"json": []}, {"data": {"a": "b"}}, {"data": "text"}, {}):
        client.post("/x", **keywords)
    types = [request.headers.get("content-type") for request in receiver.requests]
    assert types == ["application/json", "application/x-www-form-urlencoded", None, None]


def test_request_json_and_request_bytes(caller: Caller, receiver: Receiver) -> None:
    client = caller(receiver)
    receiver.answer_with(200, Answer(200, body=b"\x89PNG"))
    options: dict[str, Any] = {"headers": {"X-A": "b"}, "params": {"p": 1}, "json": {"j": 2}, "timeout": 2}
    assert client.request_json("patch", "x", **options) == {"ok": True}
    assert client.request_bytes("GET", "y", **options) == b"\x89PNG"
    assert [(request.method, request.path, request.body) for request in receiver.requests] == [
        ("PATCH", "/x?p=1", b'{"j":2}'),
        ("GET", "/y?p=1", b'{"j":2}'),
    ]


@pytest.mark.parametrize("answer", [Answer(204), Answer(200, body=b""), Answer(200, body=b" \r\n\t")])
def test_empty_is_none(caller: Caller, receiver: Receiver, answer: Answer) -> None:
    receiver.answer_with(answer)
    assert caller(receiver).delete("/x") is None


@pytest.mark.parametrize("answer", [Answer(204), Answer(200, body=b"")])
def test_no_bytes_are_none(caller: Caller, receiver: Receiver, answer: Answer) -> None:
    receiver.answer_with(answer)
    assert caller(receiver).request_bytes("GET", "/x") is None


def test_a_callers_header_replaces_the_clients_however_it_is_spelt(caller: Caller, receiver: Receiver) -> None:
    client = caller(receiver, headers={"Authorization": "Bearer ours", "Accept": "application/json"})
    client.post("/x", headers={"authorization": "Bearer theirs", "CONTENT-TYPE": "application/vnd.x+json"}, json=1)
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Bearer theirs"  # the receiver joins two with a comma
    assert request.headers["content-type"] == "application/vnd.x+json"
    assert merged({"A": "1"}, {"a": "2"}) == {"a": "2"}


# -- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "path", "full"),
    [
        ("https://h", "/a", "https://h/a"),
        ("https://h/", "a", "https://h/a"),
        ("https://h/api/v3", "/a/b?c=d", "https://h/api/v3/a/b?c=d"),
        ("https://h/api/v3/", "a", "https://h/api/v3/a"),
        ("https://h/api", "", "https://h/api"),
        ("https://h/api", "?q=1", "https://h/api/?q=1"),
        ("https://h/api?token=1", "a", "https://h/api/a"),
        ("https://h/api", "//evil.example/a", "https://h/api/evil.example/a"),
        ("https://h/api", "models:list", "https://h/api/models:list"),  # no scheme, whatever urljoin thinks
        ("https://h/api", "mailto:x", "https://h/api/mailto:x"),
        ("https://h/api", "../admin", "https://h/api/../admin"),  # below the base as far as we go
        ("https://h", "HTTPS://Other/a", "HTTPS://Other/a"),
    ],
)
def test_paths_stay_below_the_base_address(base: str, path: str, full: str) -> None:
    assert absolute(base, path) == full


def test_a_path_without_a_base_address_is_refused() -> None:
    error = failure(HTTPClient().get, "/x")
    assert isinstance(error, IntegrationPermanentError) and error.code == "url" and not error.was_sent


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "https://127.0.0.1/x", "https://u:p@h.example/", "https://h.example\\@evil.example/", "http:// h/"],
)
def test_addresses_that_the_guard_refuses(caller: Caller, receiver: Receiver, url: str) -> None:
    assert isinstance(failure(caller(receiver).get, url), IntegrationBlocked)
    assert receiver.requests == [] and caller.waits == []


def test_queries_and_origins() -> None:
    assert with_query("/a", {}) == with_query("/a", None) == with_query("/a", {"x": None}) == "/a"
    pairs = [("label", "b"), ("state", "open"), ("label", "a"), ("none", None)]
    assert with_query("/a", pairs) == with_query("/a", tuple(pairs)) == "/a?label=b&state=open&label=a"
    for wrong in ("a=1", [("a",)], [1], 7, {"a"}, [("a", "1", "2")], [(1, "a")]):
        with pytest.raises(TypeError, match=r"params must be a dict or a list of \(name, value\) pairs"):
            with_query("/a", wrong)  # type: ignore[arg-type]
    assert with_query("/a?b=1", {"c": [True, None], "d": 0}) == "/a?b=1&c=true&c=None&d=0"
    assert origin("https://H:443/x") == origin("https://h/y") != origin("http://h/y")
    assert origin("https://h:99999/") == ("", None, None)


# -- what an answer means -----------------------------------------------------------------------------------

MEANINGS = [
    (400, IntegrationPermanentError, 1),
    (401, IntegrationAuthError, 1),
    (403, IntegrationAuthError, 1),
    (404, IntegrationPermanentError, 1),
    (408, IntegrationTemporaryError, 3),
    (409, IntegrationPermanentError, 1),
    (410, IntegrationGone, 1),
    (422, IntegrationPermanentError, 1),
    (425, IntegrationTemporaryError, 3),
    (429, IntegrationRateLimited, 3),
    (301, IntegrationMoved, 1),
    (302, IntegrationTemporaryError, 3),
    (500, IntegrationTemporaryError, 3),
    (502, IntegrationTemporaryError, 3),
    (503, IntegrationTemporaryError, 3),
    (504, IntegrationTemporaryError, 3),
    (599, IntegrationTemporaryError, 3),
]


@pytest.mark.parametrize(("status", "kind", "calls"), MEANINGS)
def test_every_status_has_its_error_and_its_number_of_calls(
    caller: Caller, receiver: Receiver, status: int, kind: type[IntegrationError], calls: int
) -> None:
    receiver.answer_with(default=Answer(status, headers={"Location": "https://elsewhere.example/"}))
    error = failure(caller(receiver).get, "/x")
    assert type(error) is kind and error.status == status
    assert len(receiver.requests) == calls and len(caller.waits) == calls - 1


@pytest.mark.parametrize(("script", "code"), [([READ, HANG], "timeout"), ([READ, RESET], "connection_reset")])
def test_no_answer_is_temporary(caller: Caller, monkeypatch: Any, script: list[Any], code: str) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with ScriptedServer(script) as server:
        error = failure(caller(server, timeout=0.15).get, "/x")
        assert isinstance(error, IntegrationTemporaryError) and error.code == code
        assert len(server.requests) == 3


def test_the_shorter_timeout_of_one_call_counts(caller: Caller, monkeypatch: Any) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with ScriptedServer([READ, HANG]) as server:
        client = caller(server, timeout=60, max_retries=1)
        assert failure(client.request_json, "GET", "/x", timeout=0.1).code == "timeout"


# -- bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'[{"id": 1}, 2]', [{"id": 1}, 2]),
        (b'"text"', "text"),
        (b"0", 0),
        (b"null", None),
        ('{"name": "Zoë 🎉"}'.encode(), {"name": "Zoë 🎉"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),  # a byte order mark
        ('{"a": "ü"}'.encode("utf-16"), {"a": "ü"}),
        (b'{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"half": "\\ud800"}', {"half": "\ud800"}),
    ],
)
def test_json_of_every_shape(caller: Caller, receiver: Receiver, body: bytes, value: Any) -> None:
    receiver.answer_with(Answer(200, body=body))
    assert caller(receiver).get("/x") == value


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome to the hotel</html>",
        b'{"a": 1',
        b'{"a": NaN}',
        b"[-Infinity]",
        b'{"n": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a": "\xff\xfe"}',
        b"\x00",
    ],
)
def test_a_success_that_is_no_json(caller: Caller, receiver: Receiver, body: bytes) -> None:
    receiver.answer_with(default=Answer(200, body=body))
    error = failure(caller(receiver).get, "/x")
    assert isinstance(error, IntegrationTemporaryError) and error.code == "bad_json" and error.status == 200
    assert error.__cause__ is None and error.__context__ is None and error.excerpt == ""
    assert len(receiver.requests) == 1  # it was done: the same call again could do it twice


def test_a_cut_body(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(default=Answer(200, body=b'{"a": "12345678"}', then="cut"))
    for call in (caller(receiver).request_json, caller(receiver).request_bytes):
        error = failure(call, "GET", "/x")
        assert isinstance(error, IntegrationTemporaryError) and error.code == "cut"


def test_an_oversized_body(caller: Caller, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"MAX_READ_BYTES": 1000}
    receiver.answer_with(Answer(200, body=b"1" * 1000), default=Answer(200, body=b"1" * 1001))
    client = caller(receiver)
    assert client.get("/x") == int("1" * 1000)
    error = failure(client.get, "/x")
    assert isinstance(error, IntegrationPermanentError) and error.code == "too_large" and "1000 bytes" in error.message


def test_an_answer_that_nobody_reads_may_be_larger_than_one_that_is_logged(caller: Caller, receiver: Receiver) -> None:
    text = json.dumps({"text": "a" * 300_000}).encode()  # MAX_RESPONSE_BYTES is 65536
    receiver.answer_with(Answer(200, body=text))
    assert len(caller(receiver).get("/x")["text"]) == 300_000


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"json": {"hush": float("nan")}}, "NaN"),
        ({"json": [float("inf")]}, "infinity"),
        ({"json": {"hush": object()}}, "JSON does not know"),
        ({"json": {"hush": {1, 2}}}, "JSON does not know"),
        ({"data": "hush \ud800"}, "cannot be sent"),
        ({"data": {"hush": "\ud800"}}, "cannot be sent"),
        ({"data": 5}, "a int"),
    ],
)
def test_what_cannot_be_sent_is_said_and_not_quoted(
    caller: Caller, receiver: Receiver, keywords: dict[str, Any], words: str
) -> None:
    error = failure(caller(receiver).post, "/x", **keywords)
    assert isinstance(error, IntegrationPermanentError) and error.code == "body" and not error.was_sent
    assert words in error.message and "hush" not in error.message
    assert error.__cause__ is None and receiver.requests == []


def test_a_value_that_holds_itself(caller: Caller, receiver: Receiver) -> None:
    value: list[Any] = []
    value.append(value)
    assert failure(caller(receiver).post, "/x", json=value).code == "body"
    assert failure(caller(receiver).get, "/x", params={"q": "\ud800"}).code == "body"


def test_half_surrogates_and_huge_numbers_travel_as_json(caller: Caller, receiver: Receiver) -> None:
    caller(receiver).post("/x", json={"half": "\ud800", "n": 10**40, "name": "日本"})
    assert receiver.requests[0].json == {"half": "\ud800", "n": 10**40, "name": "日本"}


def test_a_small_success(caller: Caller) -> None:
    with ScriptedServer([READ, ok(b"{}")]) as server:
        assert caller(server).get("/x") == {}
