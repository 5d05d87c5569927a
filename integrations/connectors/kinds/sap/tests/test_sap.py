"""SAP: the wire format of API_SALES_ORDER_SRV, spoken by a small stand-in that insists on session and CSRF token."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from integrations.connectors.kinds.sap import SAPConnector
from integrations.connectors.port import Binding, Envelope
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.tests.effort import waiting
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

CANARY = "canary-91c2d4"
KEY = "push_0123456789abcdef0123456789abcdef0123456789abcdef"
REFERENCE = KEY[:35]
PATH = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"
ORDER = {
    "id": "7f",
    "customer": "10100001",
    "currency": "EUR",
    "requested_on": "2026-12-01",
    "lines": [
        {"sku": "TG11", "quantity": "5.000", "unit": "PC", "price": "12.50", "description": "Trading good 11"},
        {"sku": "TG12", "quantity": 2},
    ],
}
SESSION = "SAP_SESSIONID_S4H_100=abc%3d; path=/; secure; HttpOnly"


class FakeSAP:
    """Answers as SAP Gateway does."""

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}
        self.token = "kQ8-first=="
        self.before_create: Any = None

    def __call__(self, request: Request) -> Answer:
        assert urlsplit(request.path).path == f"{PATH}/A_SalesOrder"
        return self._read(request) if request.method == "GET" else self._create(request)

    def _read(self, request: Request) -> Answer:
        query = parse_qs(urlsplit(request.path).query)
        assert query["$format"] == ["json"] and query["$select"] == ["SalesOrder"]
        wanted = query.get("$filter", [""])[0].removeprefix("PurchaseOrderByCustomer eq '").removesuffix("'")
        rows = [{"SalesOrder": number} for reference, number in self.orders.items() if reference == wanted]
        headers = {"Content-Type": "application/json"}
        if request.headers.get("x-csrf-token") == "Fetch":
            headers["x-csrf-token"] = self.token
            headers["Set-Cookie"] = f"sap-usercontext=sap-client=100; path=/, {SESSION}"
        return Answer(200, json.dumps({"d": {"results": rows}}).encode(), headers)

    def _create(self, request: Request) -> Answer:
        if self.before_create is not None and (answer := self.before_create(request)) is not None:
            return answer
        if request.headers.get(
            "x-csrf-token"
        ) != self.token or "SAP_SESSIONID_S4H_100=abc%3d" not in request.headers.get("cookie", ""):
            return Answer(403, b"CSRF token validation failed", {"x-csrf-token": "Required"})
        number = str(len(self.orders) + 1)
        self.orders[request.json["PurchaseOrderByCustomer"]] = number
        body = {"d": {"SalesOrder": number, "SalesOrderType": "OR", "TotalNetAmount": "62.50"}}
        return Answer(201, json.dumps(body).encode(), {"Content-Type": "application/json"})


def odata_error(code: str, text: str) -> bytes:
    """As recorded from a gateway: two levels, and an inner error that nobody reads."""
    inner = {"transactionid": "A1", "errordetails": [{"code": code, "message": text, "severity": "error"}]}
    return json.dumps({"error": {"code": code, "message": {"lang": "en", "value": text}, "innererror": inner}}).encode()


@pytest.fixture
def sap(receiver: Receiver) -> FakeSAP:
    fake = FakeSAP()
    receiver.answer_with(fake)
    return fake


@pytest.fixture
def client(receiver: Receiver) -> Iterator[GuardedClient]:
    guarded = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)), timeout=5)
    yield guarded
    guarded.close()


@pytest.fixture
def make(receiver: Receiver, client: GuardedClient) -> Any:
    def make(credentials: dict[str, Any] | None = None, timeout: float = 5, **config: Any) -> SAPConnector:
        address = f"http://{receiver.netloc}{PATH}/"
        settings = {"base_url": address, "username": "COM_USER", "sales_organization": "1710", **config}
        return SAPConnector(
            Binding(config=settings, credentials=credentials or {"password": CANARY}, timeout=timeout), client
        )

    return make


def envelope(order: Any = None) -> Envelope:
    body = {"event_type": "order_push", "order": ORDER if order is None else order}
    return Envelope("order_push", KEY, json.dumps(body).encode())


def test_an_order_becomes_a_sales_order(make: Any, sap: FakeSAP, receiver: Receiver) -> None:
    receipt = make(sap_client="100").deliver(envelope())
    assert (receipt.status, receipt.external_id, receipt.details) == (201, "1", {"reference": REFERENCE})
    look_up, create = receiver.requests
    assert (look_up.method, create.method) == ("GET", "POST")
    for request in (look_up, create):
        assert request.headers["authorization"].startswith("Basic ") and request.headers["sap-client"] == "100"
    assert create.headers["content-type"] == "application/json"
    assert create.headers["cookie"] == "sap-usercontext=sap-client=100; SAP_SESSIONID_S4H_100=abc%3d"
    assert create.json == {
        "SalesOrderType": "OR",
        "SalesOrganization": "1710",
        "DistributionChannel": "10",
        "OrganizationDivision": "00",
        "SoldToParty": "10100001",
        "PurchaseOrderByCustomer": REFERENCE,
        "TransactionCurrency": "EUR",
        "RequestedDeliveryDate": "/Date(1796083200000)/",
        "to_Item": [
            {
                "Material": "TG11",
                "RequestedQuantity": "5",
                "RequestedQuantityUnit": "PC",
                "SalesOrderItemText": "Trading good 11",
            },
            {"Material": "TG12", "RequestedQuantity": "2"},
        ],
    }


def test_prices_travel_only_where_sap_has_a_condition_for_them(make: Any, sap: FakeSAP, receiver: Receiver) -> None:
    make(price_condition="PPR0").deliver(envelope())
    first, second = receiver.requests[1].json["to_Item"]
    price = {"ConditionType": "PPR0", "ConditionRateValue": "12.5", "ConditionCurrency": "EUR"}
    assert first["to_PricingElement"] == [price] and "to_PricingElement" not in second


@pytest.mark.parametrize("then", ["drop", "cut"])
def test_a_create_whose_answer_was_lost_is_found_and_not_made_twice(
    make: Any, sap: FakeSAP, receiver: Receiver, then: Any
) -> None:
    def lost(request: Request) -> Answer:
        sap.orders[REFERENCE] = "42"
        return Answer(201, b'{"d": {"SalesOrder": "42"}}', then=then)

    sap.before_create = lost
    connector = make()
    if then == "drop":
        with pytest.raises(IntegrationTemporaryError):
            connector.deliver(envelope())
    else:
        assert connector.deliver(envelope()).status == 201  # a body cut after a success is a success
    sap.before_create = None
    assert connector.deliver(envelope()).external_id == "42"
    assert [request.method for request in receiver.requests] == ["GET", "POST", "GET"]


def test_a_stale_session_is_renewed_once(make: Any, sap: FakeSAP, receiver: Receiver) -> None:
    def expire(request: Request) -> None:
        sap.before_create, sap.token = None, "kQ8-second=="

    sap.before_create = expire
    assert make().deliver(envelope()).external_id == "1"
    assert [request.method for request in receiver.requests] == ["GET", "POST", "GET", "POST"]
    receiver.clear()
    sap.orders.clear()
    sap.before_create = lambda request: Answer(403, b"CSRF token validation failed", {"x-csrf-token": "Required"})
    with pytest.raises(IntegrationTemporaryError, match="another CSRF token"):
        make().deliver(envelope())
    assert len(receiver.requests) == 4


def test_sap_says_why(make: Any, sap: FakeSAP) -> None:
    text = f"Material TG11 is not defined for sales org.1710 {CANARY}"
    sap.before_create = lambda request: Answer(400, odata_error("V1/311", text))
    with pytest.raises(IntegrationPermanentError) as caught:
        make().deliver(envelope())
    error = caught.value
    assert error.message == "127.0.0.1 answered 400 Bad Request (SAP V1/311)"
    assert error.excerpt == "Material TG11 is not defined for sales org.1710 ***"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(401, b"<html>Logon failed</html>"), IntegrationAuthError),
        (Answer(403, odata_error("/IWFND/MED/170", "No authorization")), IntegrationAuthError),
        (Answer(404, odata_error("/IWFND/MED/170", "No service found")), IntegrationPermanentError),
        (Answer(500, b'{"error": []}'), IntegrationTemporaryError),
        (Answer(503, b'{"error": {"code": 5, "message": 7}}'), IntegrationTemporaryError),
        (Answer(200, b"<html>a login page</html>"), IntegrationTemporaryError),
        (Answer(200, b'{"d": []}'), IntegrationTemporaryError),
    ],
)
def test_what_answers_mean(make: Any, receiver: Receiver, answer: Answer, expected: type[Exception]) -> None:
    receiver.answer_with(default=answer)
    with pytest.raises(expected) as caught:
        make().deliver(envelope())
    assert type(caught.value) is expected and len(receiver.requests) == 1


def test_two_requests_share_one_deadline(make: Any, sap: FakeSAP, receiver: Receiver) -> None:
    slow = FakeSAP()
    receiver.answer_with(lambda request: Answer(**{**vars(slow(request)), "delay": 1.2}))
    with waiting() as waited, pytest.raises(IntegrationTemporaryError) as caught:
        make(timeout=2).deliver(envelope())
    assert waited.seconds < 3 and caught.value.code == "timeout"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"lines": []}, "lines: missing"),
        ({"customer": ""}, "customer: missing, and the connection has no sold-to party"),
        ({"currency": "Euro"}, "currency: must be three capital letters"),
        ({"requested_on": "soon"}, "requested_on: must be a date"),
        ({"lines": [{"quantity": 1}]}, r"lines\[0\].sku: missing"),
        ({"lines": [{"sku": "A", "quantity": 0}]}, r"lines\[0\].quantity: must be greater than 0"),
        ({"lines": [{"sku": "A", "quantity": "NaN"}]}, r"lines\[0\].quantity: must be a number"),
        ({"lines": [{"sku": "A", "quantity": True}]}, r"lines\[0\].quantity: must be a number"),
        ({"lines": [{"sku": "A", "quantity": "1e99"}]}, r"lines\[0\].quantity: has more than 15 digits"),
        ({"lines": [{"sku": "A", "quantity": 1, "price": -1}]}, r"lines\[0\].price: must be a number, not below 0"),
        ({"lines": ["A"]}, r"lines\[0\]: must be an object"),
    ],
)
def test_a_bad_order_is_refused_before_anything_is_sent(
    make: Any, receiver: Receiver, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(IntegrationPermanentError, match=f"the order cannot be exported: {problem}") as caught:
        make().deliver(envelope({**ORDER, **change}))
    assert caught.value.code == "bad_order" and receiver.requests == []


def test_the_connection_may_name_the_customer(make: Any, sap: FakeSAP, receiver: Receiver) -> None:
    make(sold_to_party="20200002").deliver(envelope({**ORDER, "customer": None}))
    assert receiver.requests[1].json["SoldToParty"] == "20200002"


def test_check_reads_and_changes_nothing(make: Any, sap: FakeSAP, receiver: Receiver) -> None:
    assert make().health_check().success
    (request,) = receiver.requests
    assert request.method == "GET" and sap.orders == {}
    receiver.answer_with(default=401)
    result = make().health_check()
    assert not result.success and result.is_auth_failure


def test_somebody_must_be_named(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="username: missing"):
        make(username="").deliver(envelope())


def test_no_secret_anywhere(make: Any, sap: FakeSAP, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sap.before_create = lambda request: Answer(500, f"Basic {CANARY} {request.headers['authorization']}".encode())
    connector = make()
    with pytest.raises(IntegrationTemporaryError) as caught:
        connector.deliver(envelope())
    seen = [connector, connector.binding, caught.value, vars(caught.value)]
    text = "".join(map(repr, seen)) + caplog.text
    assert CANARY not in text and connector.auth.headers()["Authorization"].split()[1] not in text


@pytest.mark.skipif(importlib.util.find_spec("integrations.auth.oauth2") is None, reason="needs auth/oauth2.py")
def test_oauth_client_credentials(make: Any, sap: FakeSAP, receiver: Receiver) -> None:
    def answer(request: Request) -> Answer:
        if request.path == "/oauth/token":
            assert request.headers["authorization"].startswith("Basic ")
            assert parse_qs(request.body.decode())["grant_type"] == ["client_credentials"]
            body = json.dumps({"access_token": CANARY, "token_type": "Bearer", "expires_in": 3600}).encode()
            return Answer(200, body, {"Content-Type": "application/json"})
        assert request.headers["authorization"] == f"Bearer {CANARY}"
        return sap(request)

    receiver.answer_with(answer)
    token_url = f"http://{receiver.netloc}/oauth/token"
    connector = make({"client_secret": "s3cret"}, username="", client_id="outbox", token_url=token_url)
    assert connector.deliver(envelope()).external_id == "1"
    assert [request.path.partition("?")[0] for request in receiver.requests].count("/oauth/token") == 1
