"""Salesforce's REST API: queries and their pages, records, composite requests, its error codes."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integrations.connectors.kinds.salesforce import SalesforceConnector, format_soql
from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.samples import PAYLOAD, answer, envelope, failure, wire
from integrations.errors import ConfigurationError, IntegrationError, IntegrationIncomplete
from integrations.errors import IntegrationAuthError as Auth
from integrations.errors import IntegrationPermanentError as Permanent
from integrations.errors import IntegrationRateLimited as Limited
from integrations.errors import IntegrationTemporaryError as Temporary
from integrations.tests.receiver import Answer, Receiver, Request

ROOT = "/services/data/v62.0"
SESSION = "00Dxx0000001gER!canary7f3a91"
CONTACT = {
    "attributes": {"type": "Contact", "url": f"{ROOT}/sobjects/Contact/003D000000QV9n2IAD"},
    "Id": "003D000000QV9n2IAD",
    "Name": "Alice Smith",
}
MADE = {"id": "00QD000000D9ZTMMA3", "success": True, "errors": []}
EVENTS = {
    "sobject": "Case",
    "external_id_field": "Outbox_Id__c",
    "mapping": "Subject: workitem.reference_id\nDescription: workitem.description\nContact_Name__c: workitem.customer\n"
    "Price__c: workitem.final_price\nOrigin: =Repair shop: counter",
}
CASE = {
    "Subject": "RMA-123",
    "Description": "iPhone screen repair",
    "Contact_Name__c": "John Doe",
    "Price__c": None,
    "Origin": "Repair shop: counter",
}


def salesforce(connect: Connect, receiver: Receiver, **more: Any) -> SalesforceConnector:
    """Bound, and signed in already."""
    given = {"client_id": "3MVG9lKcPoNINVB", "client_secret": "consumer-canary7f3a91", **more}
    given.setdefault("session", SESSION)
    return connect(SalesforceConnector, base_url=f"http://{receiver.netloc}", **given)


def refusal(code: str, *fields: str, message: str = "No.") -> list[dict[str, Any]]:
    return [{"message": message, "errorCode": code, "fields": list(fields)}]


def found(*names: str, following: str = "") -> Answer:
    records = [{**CONTACT, "Name": name} for name in names]
    more = {"nextRecordsUrl": following} if following else {}
    return answer({"totalSize": 3, "done": not following, "records": records, **more})


# -- query --------------------------------------------------------------------------------------------------


def test_query(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(found("Alice"))
    soql = format_soql("SELECT Id, Name FROM Contact WHERE Name LIKE {name:begins} LIMIT 10", name="Al")
    assert salesforce(connect, receiver).query(soql) == [{**CONTACT, "Name": "Alice"}]
    (request,) = receiver.requests
    path = urlsplit(request.path)
    assert (request.method, path.path, request.body) == ("GET", f"{ROOT}/query", b"")
    assert parse_qs(path.query) == {"q": ["SELECT Id, Name FROM Contact WHERE Name LIKE 'Al%' LIMIT 10"]}
    assert request.headers["authorization"] == f"Bearer {SESSION}"


def test_query_follows_its_pages(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(
        found("a", following=f"{ROOT}/query/01gD0000002HU6KIAW-2000"),
        found("b", following=f"{ROOT}/query/01gD0000002HU6KIAW-4000"),
        found("c"),
    )
    names = [record["Name"] for record in salesforce(connect, receiver).query("SELECT Id FROM Contact")]
    assert names == ["a", "b", "c"]
    assert [request.path for request in receiver.requests[1:]] == [
        f"{ROOT}/query/01gD0000002HU6KIAW-2000",
        f"{ROOT}/query/01gD0000002HU6KIAW-4000",
    ]


def test_a_page_that_repeats_ends_with_an_error(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(default=found("a", following=f"{ROOT}/query/01g-2000"))
    error = failure(salesforce(connect, receiver).query, "SELECT Id FROM Contact")
    assert isinstance(error, Permanent) and error.code == "paging_loop" and len(receiver.requests) == 2


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.my.salesforce.com/services/data/x", "//evil.example/x", "/secur/x"]
)
def test_a_page_elsewhere_is_not_read(connect: Connect, receiver: Receiver, elsewhere: str) -> None:
    receiver.answer_with(found("a", following=elsewhere))
    error = failure(salesforce(connect, receiver).query, "SELECT Id FROM Contact")
    assert error.code == "foreign_page" and len(receiver.requests) == 1


def test_a_long_query_travels_in_a_body(connect: Connect, receiver: Receiver) -> None:
    page = {"totalSize": 1, "done": True, "records": [CONTACT]}
    receiver.answer_with(answer(composite_answer(200, page)))
    soql = format_soql("SELECT Id FROM Contact WHERE Name IN {names}", names=[f"name..{n}" for n in range(500)])
    assert salesforce(connect, receiver).query(soql) == [CONTACT]
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", f"{ROOT}/composite")
    (inner,) = request.json["compositeRequest"]
    assert parse_qs(urlsplit(inner["url"]).query)["q"] == [soql]


def test_a_long_query_that_is_wrong(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(composite_answer(400, refusal("MALFORMED_QUERY"))))
    error = failure(salesforce(connect, receiver).query, "SELECT Id FROM Contact WHERE Name = 'x" + "x" * 2000)
    assert type(error) is Permanent and error.code == "malformed_query"


# -- records ------------------------------------------------------------------------------------------------


def test_create(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(MADE, 201))
    values = {"FirstName": "Alice", "LastName": "Smith", "Company": "Example Inc"}
    assert salesforce(connect, receiver).create("Lead", values) == "00QD000000D9ZTMMA3"
    assert wire(receiver.requests[0]) == ("POST", f"{ROOT}/sobjects/Lead", values)


def test_values_that_json_does_not_know(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(MADE, 201))
    values = {"Amount": Decimal("150.10"), "Count__c": Decimal("3.00"), "CloseDate": date(2025, 11, 5)}
    salesforce(connect, receiver).create("Opportunity", values)
    assert receiver.requests[0].json == {"Amount": 150.1, "Count__c": 3, "CloseDate": "2025-11-05"}


@pytest.mark.parametrize(
    ("reply", "record_id"),
    [
        (answer({**MADE, "created": True}, 201), "00QD000000D9ZTMMA3"),
        (answer({**MADE, "created": False}), "00QD000000D9ZTMMA3"),
        (answer(None, 204), ""),
    ],
)
def test_upsert(connect: Connect, receiver: Receiver, reply: Answer, record_id: str) -> None:
    receiver.answer_with(reply)
    values = {"Name": "x", "outbox_id__C": "dropped: the address has it"}
    assert salesforce(connect, receiver).upsert("Work_Item__c", "Outbox_Id__c", "a/b c?é", values) == record_id
    path = f"{ROOT}/sobjects/Work_Item__c/Outbox_Id__c/a%2Fb%20c%3F%C3%A9"
    assert wire(receiver.requests[0]) == ("PATCH", path, {"Name": "x"})


def test_several_records_with_one_external_id(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer([f"{ROOT}/sobjects/X/1", f"{ROOT}/sobjects/X/2"], 300))
    error = failure(salesforce(connect, receiver).upsert, "X__c", "Id__c", "7", {})
    assert type(error) is Permanent and error.status == 300 and "make the field unique" in error.message


def test_a_success_that_is_none(connect: Connect, receiver: Receiver) -> None:
    errors = [{"statusCode": "REQUIRED_FIELD_MISSING", "message": "…", "fields": ["LastName"]}]
    receiver.answer_with(answer({"id": None, "success": False, "errors": errors}))
    error = failure(salesforce(connect, receiver).create, "Lead", {})
    assert type(error) is Permanent and error.message.endswith("REQUIRED_FIELD_MISSING (LastName)")


@pytest.mark.parametrize("name", ["", "../Account", "Account/x", "a b", "Name;"])
def test_names_cannot_lead_elsewhere(connect: Connect, receiver: Receiver, name: str) -> None:
    connector = salesforce(connect, receiver)
    calls = [
        (connector.create, (name, {})),
        (connector.create, ("Lead", {name: 1})),
        (connector.upsert, (name, "Id__c", 1, {})),
        (connector.upsert, ("Lead", name, 1, {})),
    ]
    assert all(isinstance(failure(call, *args), ConfigurationError) for call, args in calls)
    assert receiver.requests == []


# -- composite ----------------------------------------------------------------------------------------------


def composite_answer(status: int, body: Any, reference: str = "request1") -> dict[str, Any]:
    one = {"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": reference}
    return {"compositeResponse": [one]}


def test_composite_has_an_error_for_each_request(connect: Connect, receiver: Receiver) -> None:
    bad = refusal("INVALID_EMAIL_ADDRESS", "Email")
    replies = [
        {"body": MADE, "httpHeaders": {}, "httpStatusCode": 201, "referenceId": "account"},
        {"body": bad, "httpHeaders": {}, "httpStatusCode": 400, "referenceId": "contact"},
        {"body": refusal("UNABLE_TO_LOCK_ROW"), "httpHeaders": {}, "httpStatusCode": 400, "referenceId": "request3"},
        {"body": None, "httpHeaders": {}, "httpStatusCode": 204, "referenceId": "request4"},
    ]
    receiver.answer_with(answer({"compositeResponse": replies}))
    results = salesforce(connect, receiver).composite(
        [
            {"method": "POST", "url": "sobjects/Account", "referenceId": "account", "body": {"Name": "Acme"}},
            {
                "method": "post",
                "url": "sobjects/Contact",
                "referenceId": "contact",
                "body": {"AccountId": "@{account.id}"},
            },
            {"method": "PATCH", "url": f"{ROOT}/sobjects/Account/001", "body": {}},
            {"method": "DELETE", "url": "sobjects/Account/002"},
        ],
        all_or_none=True,
    )
    assert [(result.reference, result.status, type(result.error)) for result in results] == [
        ("account", 201, type(None)),
        ("contact", 400, Permanent),
        ("request3", 400, Temporary),
        ("request4", 204, type(None)),
    ]
    assert results[1].error is not None and "INVALID_EMAIL_ADDRESS (Email)" in results[1].error.message
    contact = {"method": "POST", "url": f"{ROOT}/sobjects/Contact", "referenceId": "contact"}
    assert wire(receiver.requests[0]) == (
        "POST",
        f"{ROOT}/composite",
        {
            "allOrNone": True,
            "compositeRequest": [
                {
                    "method": "POST",
                    "url": f"{ROOT}/sobjects/Account",
                    "referenceId": "account",
                    "body": {"Name": "Acme"},
                },
                {**contact, "body": {"AccountId": "@{account.id}"}},
                {"method": "PATCH", "url": f"{ROOT}/sobjects/Account/001", "referenceId": "request3", "body": {}},
                {"method": "DELETE", "url": f"{ROOT}/sobjects/Account/002", "referenceId": "request4"},
            ],
        },
    )


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [{"method": "GET", "url": "limits"}] * 26,
        [{"method": "TRACE", "url": "limits"}],
        [{"method": "GET", "url": "../../secur"}],
        [{"method": "GET", "url": "https://evil.example/"}],
        [{"method": "GET", "url": ""}],
        [{"method": "GET", "url": "limits", "referenceId": "a-b"}],
        [{"method": "GET", "url": "limits", "referenceId": "a"}] * 2,
    ],
)
def test_composite_requests_that_cannot_be_sent(connect: Connect, receiver: Receiver, requests: Any) -> None:
    with pytest.raises(ValueError):
        salesforce(connect, receiver).composite(requests)
    assert receiver.requests == []


# -- an event -----------------------------------------------------------------------------------------------


def test_an_event_becomes_a_record(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({**MADE, "created": True}, 201))
    receipt = salesforce(connect, receiver, **EVENTS).deliver(envelope())
    assert (receipt.status, receipt.external_id) == (201, "00QD000000D9ZTMMA3")
    assert wire(receiver.requests[0]) == ("PATCH", f"{ROOT}/sobjects/Case/Outbox_Id__c/evt_7", CASE)


def test_the_same_event_makes_no_second_record(connect: Connect, receiver: Receiver) -> None:
    """The record is there although its answer never came."""
    records: dict[str, Any] = {}

    def server(request: Request) -> Answer:
        is_new = request.path not in records
        records[request.path] = request.json
        return Answer(then="drop") if is_new else answer({**MADE, "created": False})

    receiver.answer_with(server)
    connector = salesforce(connect, receiver, **EVENTS)
    assert isinstance(failure(connector.deliver, envelope()), Temporary)
    assert connector.deliver(envelope(attempt=2)).external_id == "00QD000000D9ZTMMA3"
    assert len(records) == 1


def test_one_record_for_each_object(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(default=answer(MADE))
    connector = salesforce(connect, receiver, **EVENTS, external_id_path="workitem.id")
    connector.deliver(envelope())
    assert receiver.requests[0].path == f"{ROOT}/sobjects/Case/Outbox_Id__c/123"
    error = failure(connector.deliver, envelope({"workitem": {}}))
    assert type(error) is Permanent and error.code == "no_external_id" and len(receiver.requests) == 1


@pytest.mark.parametrize("external_id", [".", ".."])
def test_an_external_id_is_no_step_in_the_path(connect: Connect, receiver: Receiver, external_id: str) -> None:
    """It comes from the payload, and ``…/Outbox_Id__c/..`` would be another address."""
    connector = salesforce(connect, receiver, **EVENTS, external_id_path="workitem.reference_id")
    error = failure(connector.deliver, envelope({"workitem": {"reference_id": external_id}}))
    assert type(error) is Permanent and error.code == "external_id" and receiver.requests == []


@pytest.mark.parametrize("missing", ["sobject", "external_id_field", "mapping"])
def test_an_event_needs_a_place(connect: Connect, receiver: Receiver, missing: str) -> None:
    error = failure(salesforce(connect, receiver, **{**EVENTS, missing: ""}).deliver, envelope())
    assert isinstance(error, ConfigurationError) and list(error.problems) == [missing]
    assert receiver.requests == []


# -- what Salesforce refuses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (400, refusal("DUPLICATE_VALUE", "Email"), Permanent, "duplicate_value"),
        (400, refusal("REQUIRED_FIELD_MISSING", "LastName"), Permanent, "required_field_missing"),
        (400, refusal("MALFORMED_QUERY"), Permanent, "malformed_query"),
        (400, refusal("UNABLE_TO_LOCK_ROW"), Temporary, "unable_to_lock_row"),
        (403, refusal("REQUEST_LIMIT_EXCEEDED"), Limited, "request_limit_exceeded"),
        (403, refusal("INSUFFICIENT_ACCESS"), Auth, "insufficient_access"),
        (403, refusal("API_DISABLED_FOR_ORG"), Auth, "api_disabled_for_org"),
        (404, refusal("NOT_FOUND"), Permanent, "not_found"),
        (500, refusal("UNKNOWN_EXCEPTION"), Temporary, "unknown_exception"),
        (503, refusal("SERVER_UNAVAILABLE"), Temporary, "server_unavailable"),
        (503, refusal("REQUEST_LIMIT_EXCEEDED"), Limited, "request_limit_exceeded"),
        (500, [{"message": "x", "errorCode": "SOMETHING_NEW"}], Temporary, "something_new"),
        (
            400,
            [{"errorCode": "PROCESSING_HALTED"}, {"errorCode": "UNABLE_TO_LOCK_ROW"}],
            Temporary,
            "unable_to_lock_row",
        ),
        (400, {"error": "odd"}, Permanent, "http_400"),
        (503, None, Temporary, "http_503"),
    ],
)
def test_refusals(
    connect: Connect, receiver: Receiver, status: int, body: Any, expected: type[IntegrationError], code: str
) -> None:
    receiver.answer_with(answer(body, status))
    error = failure(salesforce(connect, receiver).create, "Lead", {"LastName": "Smith"})
    assert (type(error), error.code, error.status) == (expected, code, status)
    assert len(receiver.requests) == 1


def test_a_message_names_fields_and_no_values(connect: Connect, receiver: Receiver) -> None:
    said = "duplicate value found: Email duplicates jane@example.com"
    receiver.answer_with(answer(refusal("DUPLICATE_VALUE", "Email", "<b>", message=said), 400))
    error = failure(salesforce(connect, receiver).create, "Lead", {})
    assert error.message == "127.0.0.1 answered DUPLICATE_VALUE (Email)" and "jane" in error.excerpt


@pytest.mark.parametrize("body", [b"[]", b"7", b"<html>", b"\xff"])
def test_an_answer_that_is_not_salesforces(connect: Connect, receiver: Receiver, body: bytes) -> None:
    receiver.answer_with(default=Answer(200, body))
    connector = salesforce(connect, receiver)
    assert isinstance(failure(connector.query, "SELECT Id FROM X"), Temporary)
    assert isinstance(failure(connector.create, "Lead", {}), Temporary)


# -- signing in ---------------------------------------------------------------------------------------------


def test_an_expired_session_is_renewed_once(connect: Connect, receiver: Receiver) -> None:
    fresh = {
        "access_token": "fresh-canary7f3a91",
        "instance_url": "https://acme.my.salesforce.com",
        "token_type": "Bearer",
    }
    receiver.answer_with(answer(refusal("INVALID_SESSION_ID"), 401), answer(fresh), answer(MADE, 201))
    assert salesforce(connect, receiver).create("Lead", {}) == "00QD000000D9ZTMMA3"
    first, token, second = receiver.requests
    assert first.headers["authorization"] == f"Bearer {SESSION}"
    assert (token.method, token.path) == ("POST", "/services/oauth2/token")
    assert second.headers["authorization"] == "Bearer fresh-canary7f3a91"


def test_the_renewal_ends(connect: Connect, receiver: Receiver) -> None:
    def server(request: Request) -> Answer:
        if request.path.endswith("/token"):
            return answer({"access_token": f"token-{len(receiver.requests)}", "token_type": "Bearer"})
        return answer(refusal("INVALID_SESSION_ID"), 401)

    receiver.answer_with(server)
    error = failure(salesforce(connect, receiver, attempts=3).query, "SELECT Id FROM X")
    assert type(error) is Auth and error.code == "invalid_session_id"
    assert len(receiver.requests) == 3


def test_client_credentials(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"access_token": "fresh", "token_type": "Bearer"}), default=found("a"))
    connector = salesforce(connect, receiver, session="")
    connector.query("SELECT Id FROM X")
    connector.query("SELECT Id FROM X")
    token, first, second = receiver.requests
    assert (token.method, token.path) == ("POST", "/services/oauth2/token")
    assert parse_qs(token.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["3MVG9lKcPoNINVB"],
        "client_secret": ["consumer-canary7f3a91"],
    }
    assert first.headers["authorization"] == second.headers["authorization"] == "Bearer fresh"


def test_a_signed_assertion(connect: Connect, receiver: Receiver) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    receiver.answer_with(answer({"access_token": "fresh", "token_type": "Bearer"}), found("a"))
    connector = salesforce(
        connect,
        receiver,
        session="",
        grant="jwt_bearer",
        subject="ops@acme.example",
        private_key=pem,
        audience="https://test.salesforce.com",
    )
    connector.query("SELECT Id FROM X")
    sent = parse_qs(receiver.requests[0].body.decode())
    assert sent.pop("grant_type") == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = sent.pop("assertion")
    assert sent == {}  # no scope, no secret
    claims = jwt.decode(assertion, key.public_key(), ["RS256"], audience="https://test.salesforce.com")
    assert (claims["iss"], claims["sub"]) == ("3MVG9lKcPoNINVB", "ops@acme.example")
    assert claims["exp"] - claims["iat"] <= 180  # Salesforce takes no more than three minutes
    assert receiver.requests[1].headers["authorization"] == "Bearer fresh"


def test_a_refresh_token(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"access_token": "fresh", "token_type": "Bearer"}), found("a"))
    salesforce(connect, receiver, session="", grant="authorization_code", refresh_token="5Aep861-canary7f3a91").query(
        "x"
    )
    assert parse_qs(receiver.requests[0].body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["5Aep861-canary7f3a91"],
        "client_id": ["3MVG9lKcPoNINVB"],
        "client_secret": ["consumer-canary7f3a91"],
    }


def test_a_sign_in_that_is_refused(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"error": "invalid_client", "error_description": "invalid client credentials"}, 400))
    error = failure(salesforce(connect, receiver, session="").query, "SELECT Id FROM X")
    assert type(error) is Auth and error.code == "invalid_client" and len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, ["client_secret"]),
        ({"client_secret": "x"}, []),
        ({"grant": "jwt_bearer"}, ["subject", "private_key"]),
        ({"grant": "jwt_bearer", "subject": "x", "private_key": "hello"}, ["private_key"]),
        ({"grant": "authorization_code"}, []),
        ({"grant": "password"}, ["grant"]),
    ],
)
def test_each_way_to_sign_in_has_its_fields(settings: dict[str, str], missing: list[str]) -> None:
    given = {"base_url": "https://acme.my.salesforce.com", "client_id": "id", **settings}
    assert list(SalesforceConnector.validate_config(given)) == missing


def test_check_reads_the_limits(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"DailyApiRequests": {"Max": 15000, "Remaining": 14998}}))
    result = salesforce(connect, receiver).health_check()
    assert result.success and result.message == "Connected; 14998 of 15000 requests of the day are left."
    assert wire(receiver.requests[0]) == ("GET", f"{ROOT}/limits", None)


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_no_secret_anywhere(connect: Connect, receiver: Receiver, caplog: Any, status: int) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(default=answer(refusal(f"X {SESSION}", SESSION, message=SESSION), status))
    connector = salesforce(connect, receiver, **EVENTS)
    error = failure(connector.deliver, envelope())
    seen = [connector, connector.binding, connector.auth, connector.http, error, vars(error), error.args]
    assert "canary" not in "".join(map(repr, seen)) + caplog.text + json.dumps([error.excerpt, PAYLOAD])


def test_records_that_are_promised_and_not_named_are_an_error(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"totalSize": 4000, "done": False, "records": [{"Id": "1"}]}))
    error = failure(salesforce(connect, receiver).query, "SELECT Id FROM Account")
    assert type(error) is IntegrationIncomplete and "more records" in error.message


def test_a_composite_with_fewer_answers_than_requests_is_an_error(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"compositeResponse": []}))
    error = failure(salesforce(connect, receiver).composite, [{"method": "GET", "url": "sobjects/Account"}])
    assert type(error) is IntegrationIncomplete and "0 of 1" in error.message


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("INVALID_FIELD", "setup"),
        ("INVALID_TYPE", "setup"),
        ("STRING_TOO_LONG", "event"),
        ("REQUEST_LIMIT_EXCEEDED", "quota"),
    ],
)
def test_whose_fault_a_code_is(connect: Connect, receiver: Receiver, code: str, fault: str) -> None:
    receiver.answer_with(answer(refusal(code), 400))
    assert failure(salesforce(connect, receiver).create, "Lead", {"LastName": "Smith"}).fault == fault
