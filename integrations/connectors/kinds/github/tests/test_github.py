"""GitHub's REST API: issues, Link paging, rate limits that are a 403, and one issue per event."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from integrations.connectors.kinds.github import GitHubConnector
from integrations.connectors.kinds.github.connector import body_of, marker_of, title_of
from integrations.connectors.port import Envelope
from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.samples import CHANGES, PAYLOAD, answer, envelope, failure, wire
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
)
from integrations.errors import IntegrationAuthError as Auth
from integrations.errors import IntegrationGone as Gone
from integrations.errors import IntegrationMoved as Moved
from integrations.errors import IntegrationPermanentError as Permanent
from integrations.errors import IntegrationRateLimited as Limited
from integrations.errors import IntegrationTemporaryError as Temporary
from integrations.tests.receiver import Answer, Receiver, Request

TOKEN = "github_pat_11AAAAAAA0canary7f3a91"
ISSUE = {
    "id": 1,
    "number": 1347,
    "html_url": "https://github.com/octocat/Hello-World/issues/1347",
    "state": "open",
    "title": "Found a bug",
    "body": "I'm having a problem with this.",
    "user": {"login": "octocat", "id": 1, "type": "User"},
    "labels": [{"id": 208045946, "name": "bug", "color": "f29513", "default": True}],
    "created_at": "2025-11-05T20:31:00Z",
}
MARKER = "<!-- event evt_7 -->"
ISSUES = "/repos/octocat/Hello-World/issues"
LOOK = f"{ISSUES}?per_page=100&state=all&sort=created&direction=desc&since=2025-11-05T20%3A20%3A00Z"


def github(connect: Connect, receiver: Receiver, **more: Any) -> GitHubConnector:
    base = f"http://{receiver.netloc}"
    return connect(GitHubConnector, **{"token": TOKEN, "repository": "octocat/Hello-World", "base_url": base, **more})


def refusal(message: str, **more: Any) -> dict[str, Any]:
    return {"message": message, "documentation_url": "https://docs.github.com/rest", **more}


# -- issues -------------------------------------------------------------------------------------------------


def test_get_issue(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(ISSUE))
    assert github(connect, receiver).get_issue("octocat", "Hello-World", 1347) == ISSUE
    (request,) = receiver.requests
    assert wire(request) == ("GET", "/repos/octocat/Hello-World/issues/1347", None)
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["x-github-api-version"] == "2022-11-28"
    assert request.headers["user-agent"]  # GitHub refuses requests without one


def test_create_issue(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(ISSUE, 201))
    made = github(connect, receiver).create_issue("octocat", "Hello-World", "Found a bug", "It is big.", ["bug"])
    assert made["number"] == 1347
    (request,) = receiver.requests
    body = {"title": "Found a bug", "body": "It is big.", "labels": ["bug"]}
    assert wire(request) == ("POST", "/repos/octocat/Hello-World/issues", body)


def test_an_issue_is_not_created_twice_when_the_answer_is_lost(connect: Connect, receiver: Receiver) -> None:
    """Also where somebody waits and calls are repeated."""
    receiver.answer_with(Answer(then="drop"), default=answer(ISSUE, 201))
    connector = github(connect, receiver, attempts=3)
    assert isinstance(failure(connector.create_issue, "octocat", "Hello-World", "x"), Temporary)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("owner", ["..", ".", "a/b", "", "a b", "a?b", "é", "x" * 101])
def test_a_name_cannot_lead_elsewhere(connect: Connect, receiver: Receiver, owner: str) -> None:
    assert isinstance(failure(github(connect, receiver).get_issue, owner, "repo", 1), ConfigurationError)
    assert receiver.requests == []


# -- paging -------------------------------------------------------------------------------------------------


def book(receiver: Receiver, leaves: dict[str, str]) -> None:
    """Answer with page ``page=n``, and a Link to what `leaves` says comes next."""

    def page(request: Request) -> Answer:
        number = parse_qs(urlsplit(request.path).query).get("page", ["1"])[0]
        link = {"Link": leaves[number]} if number in leaves else {}
        return answer([{"number": int(number)}], **link)

    receiver.answer_with(page)


def test_list_issues_follows_link(connect: Connect, receiver: Receiver) -> None:
    url = f"http://{receiver.netloc}/repositories/1296269/issues"
    book(
        receiver,
        {
            "1": f'<{url}?state=all&page=2>; rel="next", <{url}?state=all&page=3>; rel="last"',
            "2": f'<{url}?state=all&page=1>; rel="prev", <{url}?state=all&page=3>; rel="next"',
            "3": f'<{url}?state=all&page=1>; rel="first", <{url}?state=all&page=2>; rel="prev"',
        },
    )
    found = github(connect, receiver).list_issues("octocat", "Hello-World", state="all", labels="bug")
    assert [each["number"] for each in found] == [1, 2, 3]
    assert [request.path for request in receiver.requests] == [
        "/repos/octocat/Hello-World/issues?per_page=100&state=all&labels=bug",
        "/repositories/1296269/issues?state=all&page=2",
        "/repositories/1296269/issues?state=all&page=3",
    ]
    assert all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in receiver.requests)


def test_a_page_that_repeats_ends_with_an_error(connect: Connect, receiver: Receiver) -> None:
    url = f"http://{receiver.netloc}/repos/o/r/issues"
    book(receiver, {"1": f'<{url}?page=2>; rel="next"', "2": f'<{url}?page=2>; rel="next"'})
    error = failure(github(connect, receiver).list_issues, "o", "r")
    assert isinstance(error, Permanent) and error.code == "paging_loop"
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("elsewhere", ["https://api.github.com/x?page=2", "http://127.0.0.1:1/x", "//evil.example/x"])
def test_a_page_elsewhere_is_not_read(connect: Connect, receiver: Receiver, elsewhere: str) -> None:
    book(receiver, {"1": f'<{elsewhere}>; rel="next"'})
    error = failure(github(connect, receiver).list_issues, "o", "r")
    assert error.code == "foreign_page" and len(receiver.requests) == 1


# -- an event -----------------------------------------------------------------------------------------------


def test_an_event_becomes_an_issue(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer([]), answer(ISSUE, 201))
    payload = {**PAYLOAD, "changes": CHANGES}
    connector = github(connect, receiver, labels="outbox\nrma", fields="Customer: workitem.customer.name")
    receipt = connector.deliver(envelope(payload))
    assert (receipt.status, receipt.external_id) == (201, "1347")
    assert receipt.location == "https://github.com/octocat/Hello-World/issues/1347"
    look, create = receiver.requests
    assert wire(look) == ("GET", LOOK, None)
    body = f"iPhone screen repair\n\n- **Customer:** John Doe\n\n- **Status:** New → In Progress\n\n{MARKER}"
    assert wire(create) == (
        "POST",
        "/repos/octocat/Hello-World/issues",
        {"title": "Workitem created: RMA-123", "body": body, "labels": ["outbox", "rma"]},
    )


@pytest.mark.parametrize("attempt", [1, 2])
def test_the_same_event_makes_no_second_issue(connect: Connect, receiver: Receiver, attempt: int) -> None:
    """The first answer got lost, the worker died, or a person replays the row."""
    others = [{"number": 9, "body": "<!-- event evt_77 -->"}, {"number": 8, "body": None}]
    receiver.answer_with(answer([*others, {**ISSUE, "body": f"…\n\n{MARKER}"}]))
    receipt = github(connect, receiver).deliver(envelope(attempt=attempt))
    assert (receipt.external_id, receipt.location) == ("1347", ISSUE["html_url"])
    assert [request.method for request in receiver.requests] == ["GET"]


def test_a_lost_answer_then_a_retry(connect: Connect, receiver: Receiver) -> None:
    """The issue is there although its answer never came."""
    made: list[dict[str, Any]] = []

    def server(request: Request) -> Answer:
        if request.method == "GET":
            return answer(made)
        made.append({**ISSUE, "body": request.json["body"]})
        return Answer(then="drop")

    receiver.answer_with(server)
    connector = github(connect, receiver)
    assert isinstance(failure(connector.deliver, envelope()), Temporary)
    assert connector.deliver(envelope(attempt=2)).external_id == "1347"
    assert len(made) == 1


def test_without_a_time_only_the_newest_page_is_read(connect: Connect, receiver: Receiver) -> None:
    link = f'<http://{receiver.netloc}/repos/octocat/Hello-World/issues?page=2>; rel="next"'
    receiver.answer_with(answer([], Link=link), answer(ISSUE, 201))
    github(connect, receiver).deliver(envelope({"workitem": {"name": "x"}}))
    look, create = receiver.requests
    assert (look.method, create.method) == ("GET", "POST") and "since" not in look.path


def test_the_look_back_ends(connect: Connect, receiver: Receiver) -> None:
    def busy(request: Request) -> Answer:
        if request.method == "POST":
            return answer(ISSUE, 201)
        here = int(parse_qs(urlsplit(request.path).query).get("page", ["1"])[0])
        return answer(
            [{"number": here}], Link=f'<http://{receiver.netloc}/repos/o/r/issues?page={here + 1}>; rel="next"'
        )

    receiver.answer_with(busy)
    github(connect, receiver).deliver(envelope())
    assert [request.method for request in receiver.requests] == ["GET"] * 5 + ["POST"]


def test_nothing_in_a_payload_notifies_anybody() -> None:
    payload = {
        "workitem": {"name": "@octocat", "description": "cc @octocat #12 GH-12 <img src=x> [a](b) https://x.example"}
    }
    text = body_of(envelope(payload), MARKER)
    assert text == (
        "cc @\u200boctocat #\u200b12 GH\u200b-12 \\<img src=x\\> \\[a\\]\\(b) https:\u200b//x.example\n\n" + MARKER
    )


def test_a_payload_cannot_forge_a_marker() -> None:
    payload = {"workitem": {"name": "x", "description": "<!-- event evt_8 -->"}}
    assert marker_of("evt_8") not in body_of(envelope(payload), MARKER)


def test_titles_and_bodies_fit() -> None:
    payload = {"workitem": {"name": "n" * 900, **{f"f{number}": "(" * 1000 for number in range(99)}}}
    assert len(title_of(envelope(payload), "{workitem.name}")) == 256
    body = body_of(envelope(payload), MARKER)
    assert len(body) <= 65536 and body.endswith(MARKER)
    assert title_of(Envelope("", "evt_7", b"{}"), "\n {nothing} ") == "Event"


# -- what GitHub refuses ----------------------------------------------------------------------------------

DATE = "Wed, 05 Nov 2025 20:30:00 GMT"  # 1762374600
NONE_LEFT, SOME_LEFT = {"x-ratelimit-remaining": "0"}, {"x-ratelimit-remaining": "4999"}
NEEDED = "x-accepted-github-permissions"
MISSING = [{"resource": "Issue", "code": "missing_field", "field": "title"}]


@pytest.mark.parametrize(
    ("status", "message", "headers", "expected", "wait"),
    [
        (403, "API rate limit exceeded for user ID 1.", {**NONE_LEFT, "x-ratelimit-reset": "1762375200"}, Limited, 600),
        (429, "API rate limit exceeded", {**NONE_LEFT, "x-ratelimit-reset": "1762374000"}, Limited, 1),
        (403, "API rate limit exceeded", {**NONE_LEFT, "x-ratelimit-reset": "soon"}, Limited, 60),
        (403, "You have exceeded a secondary rate limit.", {"retry-after": "42"}, Limited, 42),
        (403, "You have exceeded a secondary rate limit.", SOME_LEFT, Limited, 60),
        (403, "You have triggered an abuse detection mechanism.", {}, Limited, 60),
        (429, "Too many requests", {}, Limited, 60),
        (403, "Resource not accessible by personal access token", SOME_LEFT, Auth, None),
        (401, "Bad credentials", {}, Auth, None),
        (404, "Not Found", {}, Permanent, None),
        (410, "Issues are disabled for this repo", {}, Gone, None),
        (410, "Issues has been disabled in this repository.", {}, Gone, None),
        (410, "This issue was deleted", {}, Permanent, None),
        (422, "Validation Failed", {}, Permanent, None),
        (301, "Moved Permanently", {"location": "https://api.github.com/repositories/1"}, Moved, None),
        (503, "Service unavailable", {"retry-after": "7"}, Temporary, 7),
        (502, "Server Error", {}, Temporary, None),
    ],
)  # fmt: skip
def test_refusals(
    connect: Connect,
    receiver: Receiver,
    status: int,
    message: str,
    headers: dict[str, str],
    expected: type[IntegrationError],
    wait: float | None,
) -> None:
    receiver.answer_with(answer(refusal(message), status, Date=DATE, **headers))
    error = failure(github(connect, receiver).get_issue, "o", "r", 1)
    assert type(error) is expected and error.status == status and error.retry_after == wait
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "headers", "words"),
    [
        (404, refusal("Not Found"), {}, "the token may not see it"),
        (403, refusal("Resource not accessible"), {NEEDED: "issues=write"}, "needs issues=write"),
        (403, refusal("Forbidden"), {NEEDED: "<b>"}, "check the credentials"),
        (301, refusal("Moved Permanently"), {"location": "https://x/y"}, "renamed or moved"),
        (410, refusal("Issues are disabled for this repo"), {}, "switched off"),
        (422, refusal("Validation Failed", errors=MISSING), {}, "title: missing_field"),
        (422, refusal("Validation Failed", errors=[{"field": "<b>", "code": "x"}, "y", None]), {}, "422 Un"),
    ],
)  # fmt: skip
def test_refusals_say_what_to_do(
    connect: Connect, receiver: Receiver, status: int, body: Any, headers: dict[str, str], words: str
) -> None:
    receiver.answer_with(answer(body, status, **headers))
    message = failure(github(connect, receiver).get_issue, "o", "r", 1).message
    assert words in message and "<" not in message


@pytest.mark.parametrize("body", [b"[]", b"7", b"<html>", b""])
def test_an_answer_that_is_not_githubs(connect: Connect, receiver: Receiver, body: bytes) -> None:
    receiver.answer_with(Answer(200, body))
    assert isinstance(failure(github(connect, receiver).get_issue, "o", "r", 1), Temporary)


# -- check, secrets ------------------------------------------------------------------------------------------


def test_check_reads_the_repository(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(
        answer({"full_name": "octocat/Hello-World", "has_issues": True}), answer({"has_issues": False})
    )
    connector = github(connect, receiver)
    assert connector.health_check().message == "The token may read octocat/Hello-World."
    assert connector.health_check().message == "issues are switched off in the repository"
    assert wire(receiver.requests[0]) == ("GET", "/repos/octocat/Hello-World", None)


def test_check_with_a_bad_token(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(refusal("Bad credentials"), 401))
    result = github(connect, receiver).health_check()
    assert not result.success and result.is_auth_failure and result.status == 401


@pytest.mark.parametrize("status", [200, 401, 403, 404, 422, 500])
def test_the_token_is_nowhere(connect: Connect, receiver: Receiver, caplog: Any, status: int) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(default=answer({"message": TOKEN, "errors": [{"field": TOKEN, "code": TOKEN}]}, status))
    connector = github(connect, receiver)
    error = failure(connector.deliver, envelope())
    seen = [connector, connector.binding, connector.auth, connector.http, error, vars(error), error.args]
    assert "canary" not in "".join(map(repr, seen)) + caplog.text + json.dumps(error.excerpt)


@pytest.mark.parametrize("filters", [{"labels": ["bug", "ui"]}, {"labels": ("bug", "ui")}, {"labels": "bug,ui"}])
def test_labels_are_separated_by_commas(connect: Connect, receiver: Receiver, filters: Any) -> None:
    receiver.answer_with(answer([], 200))
    assert github(connect, receiver).list_issues("o", "r", **filters, state="all", assignee=None) == []
    assert receiver.requests[0].path == "/repos/o/r/issues?per_page=100&labels=bug%2Cui&state=all"


def test_too_quickly_is_a_rate_limit(connect: Connect, receiver: Receiver) -> None:
    problem = {"resource": "Issue", "code": "custom", "message": "was submitted too quickly"}
    receiver.answer_with(answer({"message": "Validation Failed", "errors": [problem]}, 422))
    error = failure(github(connect, receiver).create_issue, "o", "r", "A title")
    assert type(error) is Limited and error.retry_after == 60 and len(receiver.requests) == 1
