"""What may be kept of a request and its answer: all of it but secrets, and no more than there is room for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.errors import IntegrationTemporaryError
from integrations.transport.recording import (
    MOST_ANSWER,
    MOST_BODY,
    MOST_EXCHANGES,
    Recorder,
    Scribe,
    bodies_hidden,
    current,
    handing_over,
)
from integrations.transport.response import Headers, Response

SECRET = "canary-7f3a91c0ffee"
BODY = b'{"event_type":"workitem_created"}'
OWN = ["webhook-id: evt_1", "webhook-event: workitem_created", "webhook-sequence: 7", "webhook-attempt: 1"]


def scribe(secret_path: bool = True) -> Scribe:
    return Scribe(lambda: (SECRET,), secret_path=secret_path, address="https://hooks.example.com/•••")


def response(body: bytes = b"", status: int = 200, **headers: str) -> Response:
    return Response(status, Headers(headers.items()), body, 12)


def signed(key: str = "evt_1", attempt: int = 1, time: int = 1_700_000_000, token: str = SECRET) -> list[str | bytes]:
    return [
        "Host: hooks.example.com",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"webhook-id: {key}",
        f"webhook-timestamp: {time}",
        "webhook-event: workitem_created",
        "webhook-sequence: 7",
        f"webhook-attempt: {attempt}",
        "webhook-signature: v1,c2lnbmF0dXJl",
        "Expect:",
    ]


def one(lines: Any = (), body: bytes = BODY, answer: Any = None, url: str = "https://hooks.example.com/x") -> Recorder:
    recorder = Recorder()
    recorder.add("POST", url, lines, body, answer or response())
    return recorder


def entry(recorder: Recorder, **more: Any) -> dict[str, Any]:
    (found,) = scribe(**more).entries(recorder, 1, BODY, OWN, "")
    assert isinstance(found, dict)
    return found


def test_everything_is_kept_but_what_may_be_a_secret() -> None:
    found = entry(one(signed(), answer=response(b"", 202, server="nginx", **{"set-cookie": SECRET})))
    assert found["head"].splitlines() == [
        "Host: hooks.example.com",
        "Authorization: ***",
        "Content-Type: application/json",
        "webhook-id: evt_1",
        "webhook-timestamp: 1700000000",
        "webhook-event: workitem_created",
        "webhook-sequence: 7",
        "webhook-attempt: 1",
        "webhook-signature: v1,c2lnbmF0dXJl",
    ]
    assert found["answer_head"] == "server: nginx\nset-cookie: ***"
    assert (found["method"], found["status"], found["ms"], found["body_is"]) == ("POST", 202, 12, "row")
    assert "url" not in found and "body" not in found  # the log's line has the one, the event the other


def test_a_secret_goes_nowhere_wherever_it_stands() -> None:
    lines = [f"User-Agent: {SECRET}", f"{SECRET}: 1", f"X-Tenant: {SECRET}", f"webhook-id: {SECRET}", b"X-Old: \xe9;"]
    answer = response(f"you sent {SECRET}".encode(), 400, server=SECRET, **{"x-request-id": f"a-{SECRET}"})
    recorder = one(
        [*lines, "X-Empty;"], f'{{"text": "{SECRET}"}}'.encode(), answer, f"https://h.example/a?key={SECRET}"
    )
    found = json.dumps(scribe(secret_path=False).entries(recorder, 1, BODY, OWN, ""))
    assert SECRET not in found and SECRET not in repr(recorder)
    assert "you sent ***" in found and '"url": "https://h.example/a?key=***"' in found and "X-Empty: " in found


def test_what_is_alike_is_told_by_what_differs() -> None:
    writer = scribe()
    (first,) = writer.entries(one(signed()), 11, BODY, OWN, "")
    own = ["webhook-id: evt_2", *OWN[1:3], "webhook-attempt: 3"]
    later = writer.entries(one(signed("evt_2", 3, 1_700_000_009)), 12, BODY, own, "")
    assert isinstance(first, dict)
    assert later == (11, "1700000009", "v1,c2lnbmF0dXJl")


@pytest.mark.parametrize("is_signed", [True, False])
def test_the_trace_of_what_is_alike_is_kept(is_signed: bool) -> None:
    def traced(key: str, trace: str) -> tuple[Recorder, list[str]]:
        lines, own = signed(key), [f"webhook-id: {key}", *OWN[1:], f"traceparent: {trace}"]
        end = lines.index("webhook-signature: v1,c2lnbmF0dXJl")
        return one([*lines[:end], own[-1], *lines[end + (not is_signed) :]]), own

    writer = scribe()
    first, own = traced("evt_1", "00-a-b-01")
    assert "traceparent: 00-a-b-01" in str(writer.entries(first, 11, BODY, own, ""))
    later, own = traced("evt_2", "00-a-c-01")
    signature = "v1,c2lnbmF0dXJl" if is_signed else ""
    assert writer.entries(later, 12, BODY, own, "") == (11, "1700000000", signature, "00-a-c-01")
    assert isinstance(writer.entries(one(signed("evt_3")), 13, BODY, ["webhook-id: evt_3", *OWN[1:]], "")[0], dict)


def test_what_differs_elsewhere_is_told_in_full() -> None:
    for other in (
        one(signed(token="another")),
        one(signed(), answer=response(status=500)),
        one(signed(), answer=response(server="other")),
        one(signed(), answer=response(b"x" * 600)),
        one(signed(), answer=IntegrationTemporaryError("no answer")),
        one(signed(), body=b"another body"),
        one(signed(), url="https://hooks.example.com/y"),
        one(signed("evt_of_somebody_else")),
    ):
        writer = scribe()
        writer.entries(one(signed()), 11, BODY, OWN, "")
        assert isinstance(writer.entries(other, 12, BODY, OWN, "")[0], dict)


def test_a_body_is_kept_up_to_a_limit_and_masked_before_it_is_cut() -> None:
    text = "ä" * (MOST_BODY - 5) + SECRET + "z" * MOST_BODY
    found = entry(one([], text.encode()))
    assert len(found["body"]) == MOST_BODY + 1 and found["body"].endswith("…") and SECRET[:8] not in found["body"]
    assert found["size"] == len(text.encode())
    assert entry(one([], b"\xff\xfe\x00"))["body"] == "(3 bytes that are no text)"
    assert entry(one([], b"a\0b\nc"))["body"] == "a\ufffdb\nc"  # no database stores a NUL
    for letter in ("y", "ж", "語", "🐝"):
        long = entry(one([], b"{}", response(letter.encode() * 10_000)))
        assert long["answer"] == letter * MOST_ANSWER + "…"


def test_a_short_answer_is_left_to_the_excerpt() -> None:
    recorder = one([], b"{}", response(b'{"ok": true}'))
    (found,) = scribe().entries(recorder, 1, BODY, OWN, '{"ok": true}')
    assert "answer" not in found  # type: ignore[operator]
    assert entry(recorder)["answer"] == '{"ok": true}'


def test_a_token_request_is_kept_without_what_it_carries() -> None:
    recorder = Recorder()
    with bodies_hidden():
        recorder.add("POST", "https://login.example/token", ["Accept: */*"], b"client_secret=x", response(b'{"a":1}'))
    recorder.add("POST", "https://api.example/orders", ["Authorization: Bearer y"], b"{}", response(b'{"id":1}'))
    token, order = scribe(secret_path=False).entries(recorder, 1, BODY, OWN, '{"id":1}')
    assert token["body_is"] == "hidden" and "answer" not in token and "body" not in token  # type: ignore[index]
    assert order["body"] == "{}" and token["url"] == "https://login.example/token"  # type: ignore[index]


def test_of_very_many_the_last_is_kept() -> None:
    recorder = Recorder()
    for number in range(MOST_EXCHANGES + 5):
        recorder.add("GET", f"https://api.example/{number}", [], b"", response())
    found = scribe(secret_path=False).entries(recorder, 1, BODY, OWN, "")
    assert [each["url"][-2:] for each in found[-2:]] == ["/8", "14"] and found[-1]["left_out"] == 5  # type: ignore[index]


def test_a_failure_is_told_in_words() -> None:
    found = entry(one(None, b"", IntegrationTemporaryError("no address", was_sent=False)))
    assert (found["error"], found["was_sent"]) == ("no address", False) and "head" not in found


@pytest.mark.parametrize("protocol", ["smtp", "sftp", "file"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IntegrationTemporaryError("mail.example.com hung up"), "mail.example.com hung up"),
        (RuntimeError(f"a library says {SECRET}"), "unexpected RuntimeError"),
    ],
)
def test_whatever_is_raised_while_it_is_handed_over_is_its_error(protocol: str, error: Exception, said: str) -> None:
    recorder = Recorder()
    token = current.set(recorder)
    try:
        with pytest.raises(type(error)), handing_over(protocol, "mail.example.com", BODY) as handover:
            handover.answer = "taken"
            raise error
    finally:
        current.reset(token)
    found = entry(recorder)
    assert found["error"] == said and "answer" not in found and SECRET not in str(found)
