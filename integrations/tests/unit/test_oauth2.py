"""Access tokens: when one is asked for, what the endpoint's answers mean, and what nobody ever sees."""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest

from integrations.auth.oauth2 import OAuth2
from integrations.auth.spec import OAuth, filled, host_is_configured
from integrations.auth.token import MemoryTokens, Token
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationBlocked,
    IntegrationError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.tests.services import wait_until
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

SECRET = "canary-secret-51c0"
REFRESH = "canary-refresh-77aa"
SETTINGS = {"client_id": "client-1", "client_secret": SECRET, "refresh_token": REFRESH}


class Clock:
    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(receiver: Receiver) -> Iterator[GuardedClient]:
    client = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)), timeout=5)
    yield client
    client.close()


def spec(receiver: Receiver, grant: str = "authorization_code", **fields: Any) -> OAuth:
    address = f"http://{receiver.netloc}"
    values: dict[str, Any] = {"token_url": f"{address}/token", "authorize_url": f"{address}/authorize", **fields}
    return OAuth(grant=grant, **values)  # type: ignore[arg-type]


def answer(access: str = "access-1", status: int = 200, **fields: Any) -> Answer:
    return Answer(status, json.dumps({"access_token": access, "token_type": "Bearer", **fields}).encode())


def form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}


@pytest.fixture
def make(receiver: Receiver, client: GuardedClient, clock: Clock) -> Any:
    def build(grant: str = "authorization_code", tokens: Any = None, settings: Any = None, **fields: Any) -> OAuth2:
        store = MemoryTokens() if tokens is None else tokens
        return OAuth2(spec(receiver, grant, **fields), settings or SETTINGS, store, client, now=clock)

    return build


def bearer(auth: OAuth2) -> str:
    return auth.headers()["Authorization"]


# -- what goes out ------------------------------------------------------------------------------------


def test_client_credentials_in_the_body(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(answer(expires_in=3600))
    auth = make("client_credentials", scopes=("read", "write"))
    assert bearer(auth) == "Bearer access-1"
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    assert form(request) == {
        "grant_type": "client_credentials",
        "scope": "read write",
        "client_id": "client-1",
        "client_secret": SECRET,
    }


def test_client_id_and_secret_in_the_header_are_percent_encoded_first(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(answer())
    settings = {"client_id": "a:b", "client_secret": "s e+c/ret"}
    make("client_credentials", settings=settings, client_auth="header").headers()
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Basic YSUzQWI6cytlJTJCYyUyRnJldA=="  # "a%3Ab:s+e%2Bc%2Fret"
    assert form(request) == {"grant_type": "client_credentials"}


def test_refresh_asks_for_no_other_scope_than_the_grant_has(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(answer())
    make(scopes=("everything",)).headers()
    assert form(receiver.requests[0]) == {
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
        "client_id": "client-1",
        "client_secret": SECRET,
    }


@pytest.mark.parametrize(
    ("template", "settings", "url"),
    [
        ("https://{tenant_id}.example.com/t", {"tenant_id": "acme"}, "https://acme.example.com/t"),
        ("https://login.example.com/{tenant_id}/t", {"tenant_id": "a/../b?c"}, "https://login.example.com/a%2F..%2Fb%3Fc/t"),
        ("https://{tenant_id}.example.com/t", {"tenant_id": "evil.com/"}, "https://evil.com%2F.example.com/t"),
        ("{login_url}/t", {"login_url": "https://login.example.com/"}, "https://login.example.com/t"),
    ],
)  # fmt: skip
def test_addresses_are_filled_from_the_settings(template: str, settings: Any, url: str) -> None:
    assert filled(template, settings) == url


def test_a_field_that_the_address_needs_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        filled("https://login.example.com/{tenant_id}/t", {})
    assert list(caught.value.problems) == ["tenant_id"]


@pytest.mark.parametrize(
    ("template", "configured"),
    [
        ("{base}/t", True),
        ("https://{shop}.example.com/t", True),
        ("https://example.com/{tenant}/t", False),
        ("https://example.com/t", False),
    ],
)
def test_whether_the_host_is_configured(template: str, configured: bool) -> None:
    assert host_is_configured(template) is configured


def test_a_configured_host_stays_within_the_manifests_bounds(client: GuardedClient, clock: Clock) -> None:
    oauth = OAuth(grant="client_credentials", token_url="{login_url}/token")
    settings = {**SETTINGS, "login_url": "https://evil.example.net"}
    auth = OAuth2(oauth, settings, MemoryTokens(), client, now=clock, allowed_hosts=("*.salesforce.com",))
    with pytest.raises(IntegrationBlocked):
        auth.headers()


# -- when it goes out ---------------------------------------------------------------------------------


def test_a_token_is_used_until_shortly_before_its_end(make: Any, receiver: Receiver, clock: Clock) -> None:
    receiver.answer_with(answer("access-1", expires_in=3600), answer("access-2", expires_in=3600))
    auth = make("client_credentials")
    assert bearer(auth) == "Bearer access-1"
    clock.time += 3539
    assert bearer(auth) == "Bearer access-1" and len(receiver.requests) == 1
    clock.time += 2
    assert bearer(auth) == "Bearer access-2" and len(receiver.requests) == 2


@pytest.mark.parametrize(
    ("expires_in", "usable_for"),
    [
        ("3600", 3539),
        (3600.5, 3539),
        (0, 10**9),
        (-5, 10**9),
        (None, 10**9),
        ("soon", 10**9),
        (True, 10**9),
        ([3600], 10**9),
        (10**400, 10**8),
        ("1e999", 10**8),
        (30, 22),  # shorter than the margin: not asked for anew with every request
    ],
)
def test_expires_in(make: Any, receiver: Receiver, clock: Clock, expires_in: Any, usable_for: int) -> None:
    receiver.answer_with(default=answer(expires_in=expires_in))
    auth = make("client_credentials")
    auth.headers()
    clock.time += usable_for
    auth.headers()
    assert len(receiver.requests) == 1


def test_no_expires_in_at_all(make: Any, receiver: Receiver, clock: Clock) -> None:
    receiver.answer_with(default=answer())
    tokens = MemoryTokens()
    make("client_credentials", tokens).headers()
    token = tokens.load()
    assert token is not None and token.expires_at is None


def test_renewal_after_a_401(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(answer("access-1"), answer("access-2"))
    auth = make("client_credentials")
    rejected = auth.headers()
    assert auth.renew(rejected)
    assert bearer(auth) == "Bearer access-2"


def test_after_a_401_the_token_that_another_process_got_is_used(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(answer("access-1"), answer("access-2"))
    tokens = MemoryTokens()
    one, other = make("client_credentials", tokens), make("client_credentials", tokens)
    rejected = one.headers()
    assert other.renew(rejected) and len(receiver.requests) == 2
    assert one.renew(rejected) and bearer(one) == "Bearer access-2"
    assert len(receiver.requests) == 2


def test_the_same_token_again_is_no_renewal(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(default=answer("access-1"))
    auth = make("client_credentials")
    assert not auth.renew(auth.headers())


def test_without_a_refresh_token_the_401_stands(make: Any, receiver: Receiver) -> None:
    auth = make(tokens=MemoryTokens(Token("access-1")), settings={"client_id": "client-1"})
    tokens = MemoryTokens(Token("access-1", made_with=auth._made_with))
    auth = make(tokens=tokens, settings={"client_id": "client-1"})
    assert not auth.renew(auth.headers())
    assert receiver.requests == []


def test_ten_threads_refresh_once(make: Any, receiver: Receiver) -> None:
    gate = threading.Event()
    receiver.answer_with(Answer(200, answer("access-1", expires_in=3600).body, gate=gate), default=500)
    tokens = MemoryTokens()
    auths = [make(tokens=tokens) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(bearer, auth) for auth in auths]
        receiver.wait_for(1)
        gate.set()
        assert {future.result(10) for future in futures} == {"Bearer access-1"}
    assert len(receiver.requests) == 1


def test_threads_of_one_adapter_that_waited_for_a_failure_do_not_ask_again(make: Any, receiver: Receiver) -> None:
    gate = receiver.hold(status=503)
    auth = make()
    failures: list[IntegrationError] = []

    def ask() -> None:
        try:
            auth.headers()
        except IntegrationTemporaryError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()

    def waiting() -> int:
        inner = (frame.f_code for frame in sys._current_frames().values())
        return sum(code is OAuth2._renewed.__code__ for code in inner)

    wait_until(lambda: waiting() == 7)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(receiver.requests) == 1
    assert len({id(error) for error in failures}) == 8 and {error.code for error in failures} == {"http_503"}


# -- rotation -----------------------------------------------------------------------------------------


class Journal(MemoryTokens):
    """Remembers what was saved, and can fail as a database does."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[str] = []
        self.refused: list[str] = []
        self.is_broken = False

    def save(self, token: Token) -> None:
        if self.is_broken:
            raise OSError("the database is gone")
        self.saved.append(token.refresh_token)
        super().save(token)

    def refuse(self, reason: str) -> None:
        self.refused.append(reason)

    @contextmanager
    def exclusive(self) -> Iterator[Journal]:
        with super().exclusive():
            yield self


def test_a_rotated_refresh_token_is_saved_and_used_next(make: Any, receiver: Receiver, clock: Clock) -> None:
    receiver.answer_with(
        answer("access-1", expires_in=3600, refresh_token="rotated-1"), answer("access-2", expires_in=3600)
    )
    tokens = Journal()
    auth = make(tokens=tokens)
    auth.headers()
    clock.time += 3600
    auth.headers()
    assert [form(request)["refresh_token"] for request in receiver.requests] == [REFRESH, "rotated-1"]
    assert tokens.saved == ["rotated-1", "rotated-1"]  # an answer without one keeps the old one


def test_nothing_is_used_that_was_not_saved(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(default=answer(expires_in=3600, refresh_token="rotated-1"))
    tokens = Journal()
    tokens.is_broken = True
    auth = make(tokens=tokens)
    with pytest.raises(OSError):
        auth.headers()
    tokens.is_broken = False
    auth.headers()
    assert len(receiver.requests) == 2  # the first token was not kept in memory either


def test_a_new_client_secret_drops_the_access_token_only(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(answer("access-1", refresh_token="rotated-1"), answer("access-2"))
    tokens = MemoryTokens()
    make(tokens=tokens).headers()
    assert bearer(make(tokens=tokens, settings={**SETTINGS, "client_secret": "new"})) == "Bearer access-2"
    assert form(receiver.requests[1])["refresh_token"] == "rotated-1"


@pytest.mark.parametrize("changed", ["client_id", "refresh_token"])
def test_another_client_or_grant_drops_everything(make: Any, receiver: Receiver, changed: str) -> None:
    receiver.answer_with(answer("access-1", refresh_token="rotated-1"), answer("access-2"))
    tokens = MemoryTokens()
    make(tokens=tokens).headers()
    settings = {**SETTINGS, changed: "another"}
    assert bearer(make(tokens=tokens, settings=settings)) == "Bearer access-2"
    assert form(receiver.requests[1])["refresh_token"] == settings["refresh_token"]


@pytest.mark.parametrize(
    ("base_url", "stays"), [("https://api.example.com/v2", True), ("https://evil.example.net/v1", False)]
)
def test_tokens_do_not_follow_an_address_to_another_server(
    make: Any, receiver: Receiver, base_url: str, stays: bool
) -> None:
    receiver.answer_with(answer("access-1", refresh_token="rotated-1"))
    tokens = MemoryTokens()
    settings = {**SETTINGS, "base_url": "https://api.example.com/v1"}
    make(tokens=tokens, settings=settings).headers()
    other = make(tokens=tokens, settings={**settings, "base_url": base_url})
    assert (other._load() is not None) is stays


# -- faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope"])
@pytest.mark.parametrize("status", [200, 400, 401])
def test_a_refusal(make: Any, receiver: Receiver, word: str, status: int) -> None:
    body = json.dumps({"error": word, "error_description": f"<b>{SECRET}</b>"}).encode()
    receiver.answer_with(Answer(status, body))
    tokens = Journal()
    with pytest.raises(IntegrationAuthError) as caught:
        make(tokens=tokens).headers()
    assert caught.value.code == word
    assert tokens.refused == [caught.value.message]


@pytest.mark.parametrize(
    "body",
    [
        b"error=invalid_grant&error_description=Token+has+been+revoked",
        b"error_description=x&error=invalid_grant\n",
        b"invalid_grant",
        b"Invalid_Grant.\r\n",
        b'"invalid_grant"',
        b'{"error": {"code": "invalid_grant", "message": "x"}}',
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_a_dead_grant_is_one_however_it_is_said(make: Any, receiver: Receiver, body: bytes, status: int) -> None:
    receiver.answer_with(Answer(status, body, {"Content-Type": "text/plain"}))
    tokens = Journal()
    with pytest.raises(IntegrationAuthError) as caught:
        make(tokens=tokens).headers()
    assert caught.value.code == "invalid_grant" and "connect again" in caught.value.message
    assert tokens.refused == [caught.value.message]


def test_a_token_in_a_form_is_one(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, b"access_token=abc&token_type=bearer&expires_in=3600&scope=read%20write"))
    assert bearer(make()) == "Bearer abc"


@pytest.mark.parametrize(
    ("asked", "granted", "missing"),
    [
        (("read", "write"), "write read", ()),
        (("read", "write"), "read", ("write",)),
        (("read", "write"), "read,write", ()),
        (("https://graph.example/Mail.Send", "offline_access", "openid"), "Mail.Send", ()),
        (("read", "read:all"), "read", ("read:all",)),
        ((), "read", ()),
    ],
)
def test_which_scopes_were_not_granted(
    receiver: Receiver, asked: tuple[str, ...], granted: str, missing: tuple[str, ...]
) -> None:
    assert spec(receiver, scopes=asked).not_in(granted) == missing


def test_an_error_word_of_their_own_is_not_repeated(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(Answer(400, b'{"error": "<script>bad</script>"}'))
    with pytest.raises(IntegrationAuthError) as caught:
        make().headers()
    assert caught.value.code == "token_refused" and "script" not in caught.value.message


GARBAGE = [
    Answer(200, b""),
    Answer(200, b"<html>maintenance</html>"),
    Answer(200, b"[1, 2]"),
    Answer(200, b"{}"),
    Answer(200, b'{"access_token": ""}'),
    Answer(200, b'{"access_token": 7}'),
    Answer(200, b'{"access_token": "a\\r\\nX-Evil: 1"}'),
    Answer(200, '{"access_token": "é"}'.encode()),
    Answer(200, b"[" * 60_000),
    Answer(200, b'{"access_token": "abcdefgh"}', then="cut"),
    Answer(302, b"", {"Location": "https://example.com/"}),
    Answer(400, b"<html>proxy</html>"),
    Answer(400, b"<a href='/?x=1&error=invalid_grant'>again</a>"),
    Answer(400, b"Bad Request"),
    Answer(400, b"error=temporarily_unavailable"),
    Answer(400, b"temporarily_unavailable"),
    Answer(403, b"<html>proxy</html>"),
    Answer(404),
    Answer(404, b'{"error": "Not Found"}'),
    Answer(403, b'{"error": {"message": "blocked"}}'),
    Answer(410),
    Answer(500),
    Answer(502, b'{"error": "invalid_grant"}'),
    Answer(400, b'{"error": "temporarily_unavailable"}'),
    Answer(then="drop"),
    Answer(then="reset"),
    Answer(then="hang"),
]


@pytest.mark.parametrize("reply", GARBAGE)
def test_trouble_keeps_the_grant(receiver: Receiver, clock: Clock, reply: Answer) -> None:
    client = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)), timeout=1)
    receiver.answer_with(reply, answer("access-2"))
    tokens = Journal()
    auth = OAuth2(spec(receiver), SETTINGS, tokens, client, now=clock, timeout=1)
    with pytest.raises(IntegrationTemporaryError):
        auth.headers()
    assert tokens.refused == [] and tokens.saved == []
    assert bearer(auth) == "Bearer access-2"  # with the same refresh token, a moment later
    client.close()


def test_too_many_requests(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(Answer(429, b'{"error": "invalid_grant"}', {"Retry-After": "120"}))
    with pytest.raises(IntegrationRateLimited) as caught:
        make().headers()
    assert caught.value.retry_after == 120


def test_a_maintenance_pause_is_kept_to(make: Any, receiver: Receiver) -> None:
    receiver.answer_with(Answer(503, headers={"Retry-After": "60"}))
    with pytest.raises(IntegrationTemporaryError) as caught:
        make().headers()
    assert caught.value.retry_after == 60


def test_not_connected_yet(make: Any, receiver: Receiver) -> None:
    with pytest.raises(IntegrationAuthError) as caught:
        make(settings={"client_id": "client-1"}).headers()
    assert caught.value.code == "not_connected" and receiver.requests == []


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
def test_a_missing_setting_is_named(make: Any, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make("client_credentials", settings={**SETTINGS, field: ""}).headers()
    assert list(caught.value.problems) == [field]


@pytest.mark.parametrize("client_auth", ["body", "header"])
@pytest.mark.parametrize("reply", [answer("canary-access", refresh_token="canary-rotated"), Answer(500), Answer(400)])
def test_no_secret_anywhere(make: Any, receiver: Receiver, caplog: Any, reply: Answer, client_auth: str) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(Answer(reply.status, reply.body + f" {SECRET} {REFRESH}".encode()), reply)
    tokens = MemoryTokens()
    auth = make(tokens=tokens, client_auth=client_auth)
    seen: list[str] = []
    for _ in range(2):
        try:
            auth.headers()
        except IntegrationError as error:
            found = traceback.TracebackException.from_exception(error, capture_locals=True)
            seen += [repr(vars(error)), repr(error.args), repr(error.__context__)]
            # This test's own frame holds the canaries; every frame below it must not.
            seen += [repr(frame.locals) for frame in found.stack if not frame.filename.endswith("test_oauth2.py")]
    text = "".join([*seen, repr(auth), repr(tokens), repr(tokens.load()), caplog.text])
    assert "canary" not in text
    assert {SECRET, REFRESH} <= set(auth.secrets())
