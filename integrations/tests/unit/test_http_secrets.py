"""HTTPClient: credentials go to one origin, and into no log line, error, repr or traceback."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from integrations.auth.scheme import ApiKeyAuth, BearerAuth
from integrations.errors import IntegrationAuthError, IntegrationBlocked, IntegrationError, IntegrationMoved
from integrations.tests.callers import Caller, failure, frames_of
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.tests.scripted_server import HANG, READ, RESET, ScriptedServer, ok
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.middleware import Call
from integrations.transport.http.outgoing import body_secrets, header_secrets
from integrations.transport.http_client import HTTPClient
from integrations.transport.redaction import mask_headers, shown_url
from integrations.transport.response import Response

OURS = {"Authorization": "Bearer canary-header", "X-Api-Key": "canary-key"}


# -- credentials and origins ----------------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_our_own_origin_gets_the_credentials(caller: Caller, receiver: Receiver) -> None:
    client = caller(receiver, headers=OURS, auth=ApiKeyAuth("canary-auth", header="X-Auth"))
    client.get("/x")
    client.get(f"http://{receiver.netloc}/y?page=2")
    for request in receiver.requests:
        assert request.headers["authorization"] == "Bearer canary-header"
        assert (request.headers["x-api-key"], request.headers["x-auth"]) == ("canary-key", "canary-auth")


def test_another_port_gets_none(caller: Caller, receiver: Receiver, other: Receiver) -> None:
    client = caller(receiver, other, headers={**OURS, "Cookie": "canary"}, auth=BearerAuth("canary-auth"))
    client.get(f"http://{other.netloc}/y", headers={"X-Mine": "yes"}, params={"page": 2})
    (request,) = other.requests
    assert "canary" not in repr(request)
    assert request.headers["x-mine"] == "yes"  # a header of the call goes where the call goes


def test_another_scheme_gets_none(caller: Caller) -> None:
    """The same host and port, but in the clear: a link that an attacker wrote."""
    with ScriptedServer([READ, ok(b"{}")]) as server:
        client = caller(server, base=server.url("", scheme="https"), headers=OURS)
        assert client.get(server.url("/x", scheme="http")) == {}
        assert len(server.requests) == 1 and b"canary" not in server.requests[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://{base}@{other}/x",
        "http://user:pw@{base}/x",
        "http://{other}\\@{base}/x",
        "http://{base}\\@{other}/x",
        "http://{base}%2f@{other}/x",
        " http://{other}/x",
        "http://\t{other}/x",
        "http://{other}#@{base}/",
    ],
)
def test_addresses_that_only_look_like_ours_are_refused(
    caller: Caller, receiver: Receiver, other: Receiver, url: str
) -> None:
    client = caller(receiver, other, headers=OURS, auth=BearerAuth("canary"))
    full = url.format(base=receiver.netloc, other=other.netloc)
    if full.startswith(" "):  # no scheme at its beginning: a path below the base, which the guard refuses for its space
        assert failure(client.get, full).code == "ssrf_blocked"
    else:
        assert isinstance(failure(client.get, full), IntegrationBlocked)
    assert receiver.requests == other.requests == []


@pytest.mark.parametrize(
    "path", ["//{other}/x", "///{other}/x", "/\\{other}", "http:{other}/x", "?next=http://{other}/"]
)
def test_paths_that_look_like_other_hosts_stay_here(
    caller: Caller, receiver: Receiver, other: Receiver, path: str
) -> None:
    client = caller(receiver, other, headers=OURS)
    try:
        client.get(path.format(other=other.netloc))
    except IntegrationBlocked:
        assert "\\" in path
    assert other.requests == []


def test_without_a_base_address_nobody_gets_credentials(caller: Caller, receiver: Receiver) -> None:
    client = caller(receiver, base="", headers=OURS, auth=BearerAuth("canary"))
    client.get(f"http://{receiver.netloc}/x", headers={"X-Own": "canary-of-the-call"})
    (request,) = receiver.requests
    assert request.headers["x-own"] == "canary-of-the-call"
    assert "authorization" not in request.headers and "x-api-key" not in request.headers


def test_spelling_is_no_other_origin(caller: Caller, receiver: Receiver) -> None:
    port = receiver.netloc.rpartition(":")[2]
    client = caller(receiver, base=f"HTTP://127.0.0.1:{port}", headers=OURS)
    client.get(f"hTTp://127.0.0.1:{port}/x")
    assert receiver.requests[0].headers["x-api-key"] == "canary-key"


def test_a_redirect_is_followed_nowhere_with_or_without_credentials(
    caller: Caller, receiver: Receiver, other: Receiver
) -> None:
    receiver.answer_with(Answer(308, headers={"Location": f"http://{other.netloc}/x?token=canary-location"}))
    error = failure(caller(receiver, other, headers=OURS).get, "/x")
    assert isinstance(error, IntegrationMoved) and "canary" not in error.message
    assert other.requests == []


def test_a_401_elsewhere_renews_nothing(caller: Caller, receiver: Receiver, other: Receiver) -> None:
    class Auth(BearerAuth):
        def renew(self, rejected: Mapping[str, str]) -> bool:
            raise AssertionError("not asked")

    other.answer_with(default=401)
    client = caller(receiver, other, auth=Auth("canary"))
    assert failure(client.get, f"http://{other.netloc}/x").status == 401


# -- nothing of it is shown -----------------------------------------------------------------------------------

CANARIES = {
    "headers": {
        "Authorization": "Bearer canary-token-1",
        "X-API-Key": "canary-key-2",
        "Cookie": "sid=canary-cookie-3",
        "X-Acme-Signature": "canary-custom-4",
    },
    "call": {"X-Call-Key": "canary-call-5", "x-basic": f"Basic {base64.b64encode(b'u:canary-basic-6').decode()}"},
    "params": {"sig": "canary-query-7", "page": "2"},
    "json": {"title": "Bug", "login": [{"password": "canary-body-8"}], "client_secret": "canary-body-9"},
}
BARE = re.compile(r"canary-[a-z]+-\d")


def parrot(status: int, *more_words: str, **more: Any) -> Any:
    """A server that repeats everything that it was told, and once more without its wrapping."""

    def answer(request: Request) -> Answer:
        text = json.dumps([request.path, request.headers, request.body.decode()])
        words = " and ".join(sorted({*BARE.findall(text), *more_words}))
        return Answer(status, body=f"no: {words}; {text}".encode(), **more)

    return answer


def everything_shown(error: IntegrationError, client: HTTPClient, log: str) -> str:
    shown: list[Any] = [error, str(error), error.args, vars(error), error.__cause__, error.__context__, client, log]
    frames = frames_of(error)
    assert frames, "the walk found nothing: the paths above changed"
    shown += [frame.f_locals for frame in frames]
    return "".join(map(repr, shown))


def call_with_canaries(client: HTTPClient, path: str = "/x") -> IntegrationError:
    return failure(
        client.request_json,
        "PUT",
        path,
        headers=CANARIES["call"],
        params=CANARIES["params"],
        json=CANARIES["json"],
        timeout=1,
    )


@pytest.fixture
def log(caplog: Any) -> Any:
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503])
def test_no_secret_of_a_request_is_shown_when_the_answer_repeats_it(
    caller: Caller, receiver: Receiver, log: Any, status: int
) -> None:
    moved = {"Location": "https://h.example/canary-path-x?t=canary-query-7"}
    receiver.answer_with(parrot(status, "canary-basic-6", "canary-auth-0", "canary-path-x", headers=moved))
    client = caller(
        receiver,
        headers=CANARIES["headers"],
        auth=ApiKeyAuth("canary-auth-0", header="X-Auth"),
        secrets=("canary-path-x",),
    )
    calls: list[Call] = []
    client.middleware.add_on_error(lambda call, error: calls.append(call))
    error = call_with_canaries(client)
    assert receiver.requests and all("canary-custom-4" in repr(request.headers) for request in receiver.requests)
    assert status == 200 or (calls and "no: *** and ***" in error.excerpt)
    assert "canary" not in everything_shown(error, client, log.text) + repr(calls)


@pytest.mark.parametrize("base", ["/services/canary-path-x", "/services/canary-path-x?key=canary-query-y"])
def test_a_secret_path_is_never_shown(caller: Caller, receiver: Receiver, log: Any, base: str) -> None:
    receiver.answer_with(parrot(404, "canary-path-x"))
    client = caller(receiver, base=f"http://{receiver.netloc}{base}", secret_path=True)
    error = failure(client.post, "", json={"text": "hi"})
    assert receiver.requests[0].path == base
    assert "canary" not in everything_shown(error, client, log.text)
    assert f"http://{receiver.netloc}/***" in log.text


@pytest.mark.parametrize(
    "script",
    [[READ, HANG], [READ, RESET], [READ, b"canary-header\r\n\r\n"], [READ, b"HTTP/1.1 200 OK\r\ncanary\r\n\r\n{}"]],
)
def test_no_secret_is_shown_when_there_is_no_good_answer(
    caller: Caller, log: Any, monkeypatch: Any, script: list[Any]
) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with ScriptedServer(script) as server:
        client = caller(server, headers=CANARIES["headers"], timeout=0.1)
        error = failure(client.request_json, "PUT", "/x", headers=CANARIES["call"], json=CANARIES["json"], timeout=0.1)
        assert server.requests
        assert "canary" not in everything_shown(error, client, log.text)


@pytest.mark.parametrize("name", ["get", "post", "patch", "put", "delete", "request_bytes", "send"])
def test_no_frame_of_any_method_holds_a_secret(caller: Caller, receiver: Receiver, log: Any, name: str) -> None:
    receiver.answer_with(default=500)
    client = caller(receiver, headers=CANARIES["headers"], max_retries=1)
    words = ("GET", "/x?sig=canary-query-7") if name in ("request_bytes", "send") else ("/x?sig=canary-query-7",)
    error = failure(getattr(client, name), *words, headers=CANARIES["call"])
    assert "canary" not in everything_shown(error, client, log.text)


def test_refused_addresses_and_headers_are_not_quoted(caller: Caller, receiver: Receiver, log: Any) -> None:
    client = caller(receiver, headers=CANARIES["headers"])
    for call in (
        lambda: client.get("https://canary-user:canary-pw@h.example/canary?x=canary"),
        lambda: client.get("/x", headers={"X-Bad": "canary\r\nInjected: yes"}),
        lambda: client.get("/x", headers={"Proxy-Authorization": "canary"}),
        lambda: client.post("/x", json={"canary": float("nan")}),
        lambda: client.get("https://h.example\\canary"),
    ):
        error = failure(call)
        assert "canary" not in everything_shown(error, client, log.text)
    assert receiver.requests == []


def test_a_secret_that_the_excerpts_end_would_split(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(Answer(400, body=b"x" * 495 + b" canary-key-2 tail"))
    error = failure(caller(receiver, headers=CANARIES["headers"]).get, "/x")
    assert len(error.excerpt) == 500 and "can" not in error.excerpt


def test_an_excerpt_has_at_most_500_characters_and_no_broken_ones(caller: Caller, receiver: Receiver) -> None:
    receiver.answer_with(Answer(400, body=("🎉" * 499 + "日本").encode()))
    assert failure(caller(receiver).get, "/x").excerpt == "🎉" * 499 + "日"


def test_a_huge_refusal_costs_little_and_shows_no_split_secret(caller: Caller, receiver: Receiver) -> None:
    secret = "canary" * 150  # split by the 32 KiB that are looked at
    receiver.answer_with(Answer(400, body=secret.encode() * 50))
    assert failure(caller(receiver, secrets=[secret]).get, "/x").excerpt == "***"


# -- what the log says ------------------------------------------------------------------------------------------


def lines(caplog: Any) -> list[tuple[str, str, str]]:
    return [(record.levelname, record.name, record.getMessage()) for record in caplog.records]


def test_the_printed_lines(caller: Caller, receiver: Receiver, log: Any) -> None:
    receiver.answer_with(503, Answer(401, body=b'{"message": "Bad credentials"}'))
    failure(caller(receiver, name="github").get, "/repos/owner/repo", params={"q": "canary"})
    url = f"http://{receiver.netloc}/repos/owner/repo?q=***"
    found = lines(log)
    assert [line[:2] for line in found] == [
        ("DEBUG", "integrations.github"),
        ("WARNING", "integrations.github"),
        ("DEBUG", "integrations.github"),
        ("ERROR", "integrations.github"),
    ]
    assert re.fullmatch(rf"GET {re.escape(url)} → 503 in \d+ ms", found[0][2])
    assert found[1][2] == (
        "Request failed (attempt 1/3): IntegrationTemporaryError: Server error (HTTP 503). Retrying in 0.5s..."
    )
    assert found[3][2] == 'IntegrationAuthError: Authentication failed (HTTP 401): {"message": "Bad credentials"}'


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, "IntegrationRateLimited: Rate limit exceeded (HTTP 429)"),
        (404, "IntegrationPermanentError: Request refused (HTTP 404)"),
        (500, "IntegrationTemporaryError: Server error (HTTP 500)"),
    ],
)
def test_the_last_line_of_a_failure(caller: Caller, receiver: Receiver, log: Any, status: int, words: str) -> None:
    receiver.answer_with(default=Answer(status, body=b"a" * 600))
    failure(caller(receiver, max_retries=1).get, "/x")
    assert lines(log)[-1] == ("ERROR", "integrations.http", f"{words}: {'a' * 500}")


def test_a_success_is_one_debug_line(caller: Caller, receiver: Receiver, log: Any, settings: Any) -> None:
    settings.INTEGRATIONS = {"LOGGER_PREFIX": "agira.integration"}
    caller(receiver, name="github").get("/repos/owner/repo")
    ((level, name, message),) = lines(log)
    assert (level, name) == ("DEBUG", "agira.integration.github")
    assert re.fullmatch(rf"GET http://{receiver.netloc}/repos/owner/repo → 200 in \d+ ms", message)


def test_a_failure_without_an_answer_is_described(caller: Caller, log: Any) -> None:
    with ScriptedServer([READ, RESET]) as server:
        failure(caller(server, max_retries=2).get, "/x")
    messages = [message for level, _, message in lines(log) if level != "DEBUG"]
    described = "IntegrationTemporaryError: 127.0.0.1 closed the connection without an answer"
    assert messages == [f"Request failed (attempt 1/2): {described}. Retrying in 0.5s...", described]


def test_control_characters_of_an_answer_do_not_reach_the_log(caller: Caller, receiver: Receiver, log: Any) -> None:
    receiver.answer_with(Answer(400, body=b"line\r\nERROR forged \x1b[31mred\x00"))
    failure(caller(receiver).get, "/x")
    assert lines(log)[-1][2].endswith(": line ERROR forged [31mred")


# -- the pieces ---------------------------------------------------------------------------------------------------


def test_headers_are_shown_only_if_they_are_known_to_be_harmless() -> None:
    hidden = ["Authorization", "X-API-Key", "Cookie", "Proxy-Authorization", "webhook-signature", "X-Anything"]
    shown = {"Accept": "a", "Content-Type": "b", "USER-AGENT": "c", "webhook-id": "d"}
    assert mask_headers({**dict.fromkeys(hidden, "canary"), **shown}) == {**dict.fromkeys(hidden, "***"), **shown}


def test_addresses_are_shown_without_user_query_and_fragment() -> None:
    assert shown_url("HTTPS://u:p@h:8443/a/b?x=1&y&z=2#t") == "https://h:8443/a/b?x=***&y=***&z=***"
    assert shown_url("https://h/a/b?x=1", secret_path=True) == "https://h/***"
    assert shown_url("https://h/", secret_path=True) == "https://h"
    assert shown_url("nonsense") == "•••"


def test_hooks_see_masked_calls_and_break_nothing(caller: Caller, receiver: Receiver, log: Any) -> None:
    client = caller(receiver, headers=CANARIES["headers"])
    seen: list[tuple[str, Call, Any]] = []
    client.middleware.add_on_response(lambda call, response: seen.append(("response", call, response)))
    client.middleware.add_on_error(lambda call, error: seen.append(("error", call, error)))
    client.middleware.add_on_response(lambda call, response: 1 / 0)
    receiver.answer_with(500, 200)
    assert client.get("/x", params={"q": "canary"}) == {"ok": True}
    assert [(what, call.attempt) for what, call, _ in seen] == [("response", 1), ("error", 1), ("response", 2)]
    first, last = seen[0][1], seen[-1][2]
    assert (first.method, first.url) == ("GET", f"http://{receiver.netloc}/x?q=***")
    assert set(first.headers.values()) == {"***"}
    assert isinstance(last, Response) and last.body == b'{"ok": true}' and "canary" not in repr(seen)
    assert "a middleware hook failed: ZeroDivisionError" in log.text


def test_a_known_secret_in_the_path_is_masked(caller: Caller, receiver: Receiver, log: Any) -> None:
    client = caller(receiver, headers={"X-Key": "canary7f3a91"})
    seen: list[str] = []
    client.middleware.add_on_response(lambda call, response: seen.append(call.url))
    client.get("/bots/canary7f3a91/messages")
    assert seen == [f"http://{receiver.netloc}/bots/***/messages"] and "canary" not in log.text


def test_the_outcome_of_a_call_is_told_once(caller: Caller, receiver: Receiver) -> None:
    client = caller(receiver)
    told: list[Any] = []
    client.middleware.add_on_outcome(told.append)
    client.middleware.add_on_outcome(lambda error: 1 / 0)
    receiver.answer_with(500, 503, 200, 401)
    client.get("/x")
    assert told == [None]
    with pytest.raises(IntegrationAuthError) as caught:
        client.get("/x")
    assert told == [None, caught.value]


def test_what_an_answer_might_echo() -> None:
    basic = base64.b64encode(b"u:pa:ss").decode()
    given = {"Authorization": f"Basic {basic}", "Accept": "text/plain", "X-Bad": "Basic %%%", "Cookie": "a=1;b=2"}
    assert list(header_secrets(given)) == [f"Basic {basic}", basic, "pa:ss", "Basic %%%", "%%%", "a=1;b=2", "1", "2"]
    deep: Any = {"token": "deepest"}
    for _ in range(50):
        deep = [deep]
    body = {"apiKey": "one", "max_tokens": 5, "auth": {"New-Password": "two"}, "title": "no", "deep": deep}
    assert list(body_secrets(body)) == ["one", "two"]
