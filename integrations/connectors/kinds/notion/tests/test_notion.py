"""Notion, on its wire format (developers.notion.com/reference); answers written by hand after its documentation."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.template_samples import CANARY, DATABASE, WORKITEM, answer, envelope, ours, sample
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationIncomplete,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Receiver

PAGE = {
    "object": "page",
    "id": "be633bf1-dfa0-436d-b259-571129a590e5",
    "url": "https://www.notion.so/RMA-123-be633bf1dfa0436db259571129a590e5",
}
HEADERS = {"authorization": f"Bearer {CANARY}", "notion-version": "2022-06-28"}


LINES = "Status: New\nPriority: Urgent\nDue date: 2025-11-08T20:30:00Z\nCustomer: John Doe"


def error(status: int, code: str, message: str = "…") -> dict[str, Any]:
    return {"object": "error", "status": status, "code": code, "message": message, "request_id": "6f3c-…"}


def paragraph(text: str) -> dict[str, Any]:
    rich_text = [{"type": "text", "text": {"content": text}}]
    return {"object": "block", "type": "paragraph", "paragraph": {"rich_text": rich_text}}


def test_a_page_is_made(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, PAGE))
    receipt = connect("notion", **sample("notion", receiver.netloc)).deliver(envelope())
    assert (receipt.external_id, receipt.location) == (PAGE["id"], PAGE["url"])
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/v1/pages")
    assert ours(request.headers) == {**HEADERS, "content-type": "application/json"}
    assert request.json == {
        "parent": {"database_id": DATABASE},
        "properties": {
            "Name": {"title": [{"text": {"content": "Workitem created: RMA-123"}}]},
            "Status": {"select": {"name": "New"}},
            "Due": {"date": {"start": "2025-11-08T20:30:00Z"}},
        },
        "children": [paragraph(f"{WORKITEM['description']}\n\n{LINES}")],
    }


def test_columns_that_are_not_configured_or_have_no_value_are_left_out(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(default=answer(200, PAGE))
    connect("notion", token="t" * 12, database_id=DATABASE.replace("-", ""), title_property="Titel").deliver(envelope())
    bare = connect("notion", **sample("notion", receiver.netloc))
    bare.deliver(envelope({"workitem": {"status": None, "description": "x" * 3000}}))
    first, second = (request.json for request in receiver.requests)
    assert first["properties"] == {"Titel": {"title": [{"text": {"content": "Workitem created: RMA-123"}}]}}
    assert second["properties"] == {"Name": {"title": [{"text": {"content": "Workitem created"}}]}}
    assert second["children"] == [paragraph("x" * 2000)]  # Notion takes no more in one piece


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (400, "validation_error", IntegrationPermanentError, "columns"),
        (400, "invalid_json", IntegrationPermanentError, "400"),
        (401, "unauthorized", IntegrationAuthError, "credentials"),
        (403, "restricted_resource", IntegrationAuthError, "credentials"),
        (404, "object_not_found", IntegrationPermanentError, "not shared with the integration"),
        (409, "conflict_error", IntegrationTemporaryError, "same moment"),
        (500, "internal_server_error", IntegrationTemporaryError, "500"),
        (503, "service_unavailable", IntegrationTemporaryError, "503"),
    ],
)
def test_errors(connect: Connect, receiver: Receiver, status: int, code: str, kind: type[Exception], says: str) -> None:
    receiver.answer_with(answer(status, error(status, code)))
    with pytest.raises(kind, match=says) as caught:
        connect("notion", **sample("notion", receiver.netloc)).deliver(envelope())
    assert type(caught.value) is kind


def test_the_rate_limit(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(429, error(429, "rate_limited"), Retry_After="3"))
    with pytest.raises(IntegrationRateLimited) as caught:
        connect("notion", **sample("notion", receiver.netloc)).deliver(envelope())
    assert caught.value.retry_after == 3


def test_the_check(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"object": "user", "id": "9a3b", "type": "bot", "name": "Outbox\x1b[31m"}))
    result = connect("notion", **sample("notion", receiver.netloc)).health_check()
    assert result.success and result.message == "Connected as Outbox [31m."
    (request,) = receiver.requests
    assert (request.method, request.path, ours(request.headers)) == ("GET", "/v1/users/me", HEADERS)


def test_a_query_pages_by_cursor(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(
        answer(200, {"results": [{"id": "1"}, {"id": "2"}], "has_more": True, "next_cursor": "c-2"}),
        answer(200, {"results": [{"id": "3"}], "has_more": False, "next_cursor": None}),
    )
    wanted = {"property": "Status", "select": {"equals": "New"}}
    found = connect("notion", **sample("notion", receiver.netloc)).call("query_database", filter=wanted, page_size=2)
    assert found == [{"id": "1"}, {"id": "2"}, {"id": "3"}]
    assert {request.path for request in receiver.requests} == {f"/v1/databases/{DATABASE}/query"}
    assert [request.json for request in receiver.requests] == [
        {"filter": wanted, "page_size": 2},
        {"filter": wanted, "page_size": 2, "start_cursor": "c-2"},
    ]


def test_a_cursor_that_goes_in_circles_is_an_error(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(default=answer(200, {"results": [], "next_cursor": "c-2"}))
    with pytest.raises(IntegrationPermanentError, match="leads back to a page") as caught:
        connect("notion", **sample("notion", receiver.netloc)).call("query_database")
    assert caught.value.code == "paging_loop"
    assert len(receiver.requests) == 2


def test_a_page_id_stays_in_its_place(connect: Connect, receiver: Receiver) -> None:
    connector = connect("notion", **sample("notion", receiver.netloc))
    connector.call("get_page", page_id="../users/me?x#y")
    assert [request.path for request in receiver.requests] == ["/v1/pages/..%2Fusers%2Fme%3Fx%23y"]
    for wrong in ("..", ""):
        with pytest.raises(IntegrationPermanentError):
            connector.call("get_page", page_id=wrong)
    with pytest.raises(ConfigurationError, match="page_id: missing"):
        connector.call("get_page")
    with pytest.raises(ConfigurationError, match="filter: must be an object"):
        connector.call("query_database", filter="Status")
    assert len(receiver.requests) == 1


def test_the_configuration() -> None:
    from integrations.connectors.registry import ConnectorRegistry

    kind = ConnectorRegistry.type_of("notion")
    assert set(kind.validate_config({"token": "x", "database_id": "../../v1/users"})) == {"database_id"}
    assert set(kind.validate_config({})) == {"token", "database_id"}


def test_a_page_that_is_promised_and_not_named_is_an_error(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"results": [{"id": "1"}], "has_more": True, "next_cursor": None}))
    with pytest.raises(IntegrationIncomplete, match="there is more"):
        connect("notion", **sample("notion", receiver.netloc)).call("query_database")
