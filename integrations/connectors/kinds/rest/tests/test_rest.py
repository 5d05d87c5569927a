"""What the interpreter does with a template, beyond what our own templates use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integrations.connectors.config_check import checked
from integrations.connectors.kinds.rest import RestConnector
from integrations.connectors.port import Binding
from integrations.connectors.tests.template_samples import CANARY, answer, envelope, ours
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.tests.template_files import DELIVER, template
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

Make = Callable[..., RestConnector]


@pytest.fixture
def make(receiver: Receiver, settings: Any) -> Iterator[Make]:
    """Return ``make(text, **settings)``: a connector for the template HEAD + text."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    client = GuardedClient(AddressPolicy.from_conf(), timeout=5)

    def connector(text: str, *, attempts: int = 1, **given: Any) -> RestConnector:
        kind = RestConnector.for_template(template(text))
        given = {"base_url": f"http://{receiver.netloc}/base/?v=1", "token": CANARY, **given}
        clean = checked(kind.manifest, given)
        return kind(Binding.from_settings(kind.manifest, clean, timeout=2, attempts=attempts), client)

    yield connector
    client.close()


def test_the_class_is_the_templates_own() -> None:
    kind = RestConnector.for_template(template(DELIVER))
    assert kind.__name__ == "CrmTemplate" and kind.manifest.key == "crm"
    assert RestConnector.manifest.key == "rest" and not hasattr(RestConnector, "template")


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("{bearer: '${secret.token}'}", {"authorization": f"Bearer {CANARY}"}),
        ("{header: {X-Auth: 'key ${secret.token}'}}", {"x-auth": f"key {CANARY}"}),
        (
            "{basic: {username: '${config.folder}', password: '${secret.token}'}}",
            {"authorization": "Basic aW5ib3g6Y2FuYXJ5LTdmM2E5MWM0ZDI="},
        ),
    ],
)
def test_authentication(make: Make, receiver: Receiver, auth: str, expected: dict[str, str]) -> None:
    text = f"auth: {auth}\nheaders: {{X-Folder: '${{config.folder}}', X-None: '${{config.column}}'}}\n{DELIVER}"
    make(text + "  idempotency_header: Idempotency-Key\n").deliver(envelope())
    (request,) = receiver.requests
    assert request.path == "/base/items?v=1" and request.body == b""
    assert ours(request.headers) == {**expected, "x-folder": "inbox", "idempotency-key": "evt_1"}


def test_an_optional_secret_that_is_empty_authenticates_nobody(make: Make, receiver: Receiver) -> None:
    for auth in ("{bearer: '${secret.token}'}", "{basic: {username: u, password: '${secret.token}'}}"):
        make(f"auth: {auth}\n{DELIVER}", token="").deliver(envelope())
    assert all("authorization" not in request.headers for request in receiver.requests)


def test_a_secret_with_a_line_break_is_not_sent(make: Make, receiver: Receiver) -> None:
    connector = make(f"headers: {{X-Auth: '${{secret.token}}'}}\n{DELIVER}", token=f"{CANARY}\r\nX-Evil: 1")
    with pytest.raises(IntegrationPermanentError) as caught:
        connector.deliver(envelope())
    frames, trace = "", caught.value.__traceback__
    while trace is not None:
        if "/connectors/" in trace.tb_frame.f_code.co_filename:
            frames += repr({name: value for name, value in trace.tb_frame.f_locals.items() if name != "self"})
        trace = trace.tb_next
    assert caught.value.code == "header_invalid" and receiver.requests == []
    assert CANARY not in frames + repr(vars(caught.value))


RULES = """errors:
  - when: {status: 200, condition: response.json.ok == `false`}
    kind: temporary
    code: not_ok
    message: it said that it did not work
    retry_after: ${response.json.wait}
  - when: {status: [409, 5xx], condition: "response.headers.\\"x-busy\\" == 'yes'"}
    kind: rate_limited
    message: it is busy
  - when: {condition: "length(response.json.problem) > `3`"}
    kind: permanent
    message: it has a problem
"""


@pytest.mark.parametrize(
    ("reply", "kind", "retry_after"),
    [
        (answer(200, {"ok": False, "wait": 7}), IntegrationTemporaryError, 7),
        (answer(200, {"ok": False, "wait": -7}), IntegrationTemporaryError, None),
        (answer(200, {"ok": False, "wait": True}), IntegrationTemporaryError, None),
        (answer(200, {"ok": False, "wait": ["x"]}), IntegrationTemporaryError, None),
        (answer(200, {"ok": False}, Retry_After="9"), IntegrationTemporaryError, 9),
        (answer(409, {}, X_Busy="yes", Retry_After="3"), IntegrationRateLimited, 3),
        (answer(500, {}, X_Busy="yes"), IntegrationRateLimited, None),
        (answer(500, {}, X_Busy="no"), IntegrationTemporaryError, None),
        (answer(200, {"problem": "much"}), IntegrationPermanentError, None),
    ],
)
def test_rules_are_asked_in_order(
    make: Make, receiver: Receiver, reply: Answer, kind: type[IntegrationError], retry_after: float | None
) -> None:
    receiver.answer_with(reply)
    with pytest.raises(kind) as caught:
        make(DELIVER + RULES).deliver(envelope())
    assert type(caught.value) is kind and caught.value.retry_after == retry_after


def test_where_no_rule_fits_http_decides(make: Make, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"ok": True, "problem": "low"}))
    assert make(DELIVER + RULES).deliver(envelope()).status == 200


def test_success_is_of_the_call_that_says_so(make: Make, receiver: Receiver) -> None:
    text = DELIVER + "  success: {status: 409}\nactions:\n  find: {method: GET, path: /find}\n"
    receiver.answer_with(default=409)
    connector = make(text)
    assert connector.deliver(envelope()).status == 409
    with pytest.raises(IntegrationPermanentError):
        connector.call("find")


LINKED = """actions:
  find:
    params: {q: {}, deep: {kind: any}}
    method: GET
    path: /find
    query: {q: '${param.q}'}
    returns: ${response.json.items}
    pages: {link: '${response.json.next}', max: 3}
"""


def test_pages_by_link(make: Make, receiver: Receiver) -> None:
    receiver.answer_with(
        answer(200, {"items": [1], "next": f"http://{receiver.netloc}/base/find?page=2"}),
        answer(200, {"items": None, "next": "?page=3"}),
        answer(200, {"items": [2, 3], "next": ""}),
    )
    assert make("auth: {bearer: '${secret.token}'}\n" + LINKED).call("find", q="a b") == [1, 2, 3]
    paths = [request.path for request in receiver.requests]
    assert paths == ["/base/find?v=1&q=a+b", "/base/find?page=2", "/base/find?page=3"]
    assert all(CANARY in request.headers["authorization"] for request in receiver.requests)


@pytest.mark.parametrize(
    "link", ["https://evil.example/steal", "//evil.example/x", "http://127.0.0.1:1/x", "file:///x"]
)
def test_a_link_to_somebody_else_is_not_followed(make: Make, receiver: Receiver, link: str) -> None:
    receiver.answer_with(answer(200, {"items": [1], "next": link}))
    with pytest.raises(IntegrationPermanentError, match="another host"):
        make(LINKED).call("find")
    assert len(receiver.requests) == 1


def test_too_many_pages_are_an_error_and_not_a_cut_list(make: Make, receiver: Receiver) -> None:
    def page(request: Request) -> Answer:
        number = int((re.search(r"page=(\d+)", request.path) or ["", "1"])[1])
        return answer(200, {"items": [number], "next": f"?page={number + 1}"})

    receiver.answer_with(page)
    with pytest.raises(IntegrationPermanentError, match="more than 3 pages"):
        make(LINKED).call("find")
    assert len(receiver.requests) == 3


def test_a_call_that_somebody_waits_for_is_repeated_where_that_is_safe(make: Make, receiver: Receiver) -> None:
    receiver.answer_with(503, answer(200, {"items": [1]}))
    assert make(LINKED, attempts=2).call("find") == [1]
    receiver.clear()
    receiver.answer_with(default=503)
    with pytest.raises(IntegrationTemporaryError):
        make(DELIVER, attempts=2).deliver(envelope())
    assert len(receiver.requests) == 1


ECHO = """actions:
  do:
    params: {v: {kind: any}}
    method: POST
    path: /do
    json: {v: '${param.v}'}
"""


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", ["x", ""], [1, True, ["x"]]),
        ("integer", [0, 7], [True, 1.5, "7"]),
        ("number", [0, 1.5], [True, "7"]),
        ("boolean", [True, False], [1, "true"]),
        ("list", [[], [1], (1,)], ["x", {}]),
        ("object", [{}, {"a": 1}], [[], "x"]),
        ("any", ["x", 1, True, [], {}], []),
    ],
)
def test_parameters_have_types(make: Make, receiver: Receiver, kind: str, good: list[Any], bad: list[Any]) -> None:
    connector = make(ECHO.replace("any", kind))
    for value in good:
        connector.call("do", v=value)
        assert receiver.requests[-1].json == {"v": list(value) if isinstance(value, tuple) else value}
    for value in bad:
        with pytest.raises(ConfigurationError, match="v: must be"):
            connector.call("do", v=value)
    assert len(receiver.requests) == len(good)


def test_a_value_that_is_too_deep_or_odd_is_an_integration_error(make: Make, receiver: Receiver) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    with pytest.raises(IntegrationPermanentError, match="deep"):
        make(ECHO).call("do", v=deep)
    make(ECHO).call("do", v={"a": float("nan"), 1: "half \ud800", "c": b"bytes", "d": {1}})
    assert receiver.requests[0].json == {"v": {"a": None, "1": "half ?", "c": "b'bytes'", "d": "{1}"}}
