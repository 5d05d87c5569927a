"""Where providers call us back: what is answered, what is stored, and what strangers learn: nothing (B194 … B216)."""

from __future__ import annotations

import gzip
import io
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import time_machine
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection as database
from django.db import connections
from django.test import Client
from django.urls import reverse
from gunicorn.http.body import Body, ChunkedReader
from gunicorn.http.unreader import IterUnreader

from integrations.connectors.base import BaseConnector
from integrations.connectors.incoming import WebhookDTO
from integrations.inbound import actions, request_body
from integrations.inbound.stored_headers import HARMLESS
from integrations.inbound.view import MAX_BYTES
from integrations.models import TenantIntegration, WebhookEvent
from integrations.signals import webhook_event_received
from integrations.tests.case_files import params
from integrations.tests.effort import waiting
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import BODY, OTHER_SECRET, SECRET, headers_of, make_connection, provider
from integrations.tests.services import Broker, use_broker
from integrations.tests.unit.test_signing import body_of

pytestmark = pytest.mark.django_db(transaction=True)

in_one_transaction = pytest.mark.django_db  # rolled back at the end: faster than to empty every table

CANARY = "canary-7f3e"
NOW = 1763668810  # seconds: ten after a full minute


@pytest.fixture(autouse=True)
def _quiet(broker: Broker) -> None:
    """A broker that takes hints, and nobody who reads them."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def kind() -> Iterator[str]:
    with provider("github", id_header="X-Id", event_header="X-Event") as key:
        yield key


@pytest.fixture
def shop(kind: str) -> TenantIntegration:
    return make_connection(make_tenant(), kind)


def send(
    connection: Any,
    body: bytes = BODY,
    *,
    action: str = "orders",
    scheme: str = "github",
    method: str = "POST",
    content_type: str = "application/json",
    signed: dict[str, str] | None = None,
    **headers: str,
) -> Any:
    """Send `body` as the provider would; further headers as ``X_Id="1"``."""
    own = headers_of(scheme, body) if signed is None else signed
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    target = connection if isinstance(connection, int | str) else connection.public_id
    url = f"/webhooks/{target}/{action}/"
    return Client().generic(method, url, body, content_type, headers={**own, **more}, secure=True)


def rows() -> list[Any]:
    return list(WebhookEvent.objects.order_by("pk"))


@pytest.mark.integration
class TestWhatIsKept:
    def test_stored_as_it_came(self, shop: TenantIntegration) -> None:
        answer = send(shop, X_Id="d-1", X_Event="order.created")
        assert (answer.status_code, answer.json()) == (200, {"status": "received"})
        (row,) = rows()
        assert (row.provider, row.event_type, row.action) == ("inbounddemo", "order.created", "orders")
        assert row.connection == shop and row.idempotency_key.startswith(f"{shop.pk}:d-1-")
        assert bytes(row.body) == BODY and row.payload == {"id": 727} and row.signature_valid
        assert row.status == "received" and row.next_attempt_at and not row.attempts

    def test_by_either_id_and_without_the_last_slash(self, shop: TenantIntegration) -> None:
        assert send(shop.pk, X_Id="1").status_code == 200
        assert send(str(shop.public_id).upper(), X_Id="2").status_code == 200
        headers = {**headers_of("github", BODY), "X-Id": "3"}
        answer = Client().generic(
            "POST", f"/webhooks/{shop.pk}/x", BODY, "application/json", headers=headers, secure=True
        )
        assert answer.status_code == 200 and len(rows()) == 3

    def test_the_second_copy_is_recognised(self, shop: TenantIntegration) -> None:
        assert [send(shop, X_Id="d-1").json()["status"] for _ in range(3)] == ["received", "duplicate", "duplicate"]
        (row,) = rows()
        assert row.duplicates == 2 and row.status == "received"

    def test_without_an_id_the_body_tells(self, shop: TenantIntegration) -> None:
        answers = [
            send(shop, body, action=action) for body, action in ((b"1", "a"), (b"1", "a"), (b"2", "a"), (b"1", "b"))
        ]
        assert [answer.json()["status"] for answer in answers] == ["received", "duplicate", "received", "duplicate"]

    def test_the_same_id_at_another_integration_is_another_delivery(self, shop: TenantIntegration) -> None:
        other = make_connection(shop.tenant, name="Other")
        assert [send(target, X_Id="d-1").json()["status"] for target in (shop, other)] == ["received"] * 2

    @pytest.mark.parametrize("event_id", ["x" * 500, "ü", "日本", "a b", "'; --"])
    def test_any_id(self, shop: TenantIntegration, event_id: str) -> None:
        answers = [send(shop, X_Id=event_id.encode().decode("latin-1")) for _ in range(2)]
        assert [answer.json()["status"] for answer in answers] == ["received", "duplicate"]

    def test_csrf_is_not_asked_for(self, shop: TenantIntegration) -> None:
        client = Client(enforce_csrf_checks=True)
        url = reverse("webhook-receiver", args=[shop.public_id, "x"])
        answer = client.generic("POST", url, BODY, "application/json", headers=headers_of("github", BODY), secure=True)
        assert answer.status_code == 200

    def test_the_url_that_we_show(self, shop: TenantIntegration, settings: Any) -> None:
        settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "https://app.example.com/webhooks/"}
        assert shop.webhook_url_for("orders") == f"https://app.example.com/webhooks/{shop.public_id}/orders/"
        assert shop.webhook_url_for("orders").endswith(reverse("webhook-receiver", args=[shop.public_id, "orders"]))
        assert reverse("oauth-callback", args=["github"]) == "/webhooks/oauth/callback/github/"


@pytest.mark.integration
@in_one_transaction
@pytest.mark.parametrize(
    ("body", "status", "payload"),
    [
        (b"[]", 200, {"raw": []}),  # B197
        (b"7", 200, {"raw": 7}),
        (b"null", 200, {"raw": None}),
        (b"true", 200, {"raw": True}),
        (b'{"a":"\\u0000"}', 200, {"a": "\ufffd"}),  # B201
        (b'{"a":"\\ud800"}', 200, {"a": "\ufffd"}),
        (b"", 400, None),  # B195
        (b"a=b", 400, None),  # B196
        (b'{"a":NaN}', 400, None),  # B199
        (b"\xff", 400, None),
        (b"[" * 5000, 400, None),
    ],
)
def test_content(shop: TenantIntegration, body: bytes, status: int, payload: Any) -> None:
    assert send(shop, body).status_code == status
    assert [row.payload for row in rows()] == ([payload] if status == 200 else [])
    assert [bytes(row.body) for row in rows()] == ([body] if status == 200 else [])


def test_forms_of_a_provider_that_sends_them() -> None:
    with provider("woocommerce", sends_forms=True) as key:
        shop = make_connection(make_tenant(), key)
        form = "application/x-www-form-urlencoded"
        assert send(shop, b"webhook_id=7", scheme="woocommerce", content_type=form).status_code == 200
        assert send(shop, b"payload=%7B%22a%22%3A1%7D", scheme="woocommerce", content_type=form).status_code == 200
    assert [row.payload for row in rows()] == [{"webhook_id": "7"}, {"a": 1}]


def test_a_shop_that_tries_the_address() -> None:
    """WooCommerce does not sign that, and shows its people an error for any answer but 200."""
    tenant = make_tenant()
    shop = make_connection(tenant, "woocommerce")
    form = {"signed": {}, "content_type": "application/x-www-form-urlencoded"}
    answer = send(shop, b"webhook_id=7", **form)
    assert (answer.status_code, answer.json()) == (200, {"status": "ping"})
    assert not rows()
    assert send(shop, b"webhook_id=7&id=1", **form).status_code == 401
    assert send(shop, b"webhook_id=7", signed=headers_of("woocommerce", b"x")).status_code == 401
    unready = make_connection(tenant, "woocommerce", secret="", name="Unready")
    assert send(unready, b"webhook_id=7", **form).status_code == 401


@in_one_transaction
class TestRefused:
    """In the order of the answers."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"])  # B207
    def test_405(self, shop: TenantIntegration, method: str) -> None:
        answer = send(shop, method=method)
        assert answer.status_code == 405 and answer["Allow"] == "POST" and not rows()

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
    def test_415(self, shop: TenantIntegration, encoding: str) -> None:  # B208
        bomb = gzip.compress(b"\0" * 10_000_000)
        assert send(shop, bomb, Content_Encoding=encoding).status_code == 415
        assert not rows()

    @pytest.mark.parametrize("size", [MAX_BYTES + 1, 10_485_760])
    def test_413(self, shop: TenantIntegration, size: int) -> None:  # B194
        assert send(shop, b"1" * size, signed={}).status_code == 413
        assert not rows()

    def test_as_large_as_allowed(self, shop: TenantIntegration, settings: Any) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
        body = b'"' + b"x" * (MAX_BYTES - 2) + b'"'
        assert send(shop, body).status_code == 200
        assert bytes(rows()[0].body) == body and len(rows()[0].payload["raw"]) == MAX_BYTES - 2

    @pytest.mark.integration
    @pytest.mark.parametrize(
        "path",
        [
            "999999/x/",
            "0/x/",
            "-1/x/",
            "1.0/x/",
            "９９/x/",
            "9" * 30 + "/x/",
            "abc/x/",
            "1/..%2f..%2f/",
            "1/../",
            "1/%2e/",
            "00000000-0000-4000-8000-000000000000/x/",
            "oauth/callback/",
            "1/日本/",
            "1/" + "x" * 101 + "/",
            "%00/x/",
        ],
    )
    def test_404(self, shop: TenantIntegration, path: str) -> None:  # B204, B214
        answer = Client().post(f"/webhooks/{path}", BODY, content_type="application/json", secure=True)
        assert answer.status_code == 404 and not rows()

    def test_404_of_keys_where_they_do_not_count(self, shop: TenantIntegration, settings: Any) -> None:
        settings.INTEGRATIONS = {"INBOUND_BY_KEY": False}
        theirs, nobodys = send(shop.pk), send(999_999)
        assert theirs.status_code == 404 and theirs.content == nobodys.content
        assert send(shop).status_code == 200

    def test_404_says_the_same_of_what_is_inactive_and_of_what_is_not_there(self, shop: TenantIntegration) -> None:
        TenantIntegration.objects.filter(pk=shop.pk).update(is_active=False)  # B205
        inactive, unknown = send(shop), send(999_999)
        assert inactive.status_code == unknown.status_code == 404
        assert inactive.content == unknown.content
        names = set(inactive.headers) - {"Expires"}  # which has the second in it
        assert names == set(unknown.headers) - {"Expires"}
        assert all(inactive.headers[name] == unknown.headers[name] for name in names)

    def test_404_costs_the_same(self, shop: TenantIntegration, django_assert_num_queries: Any) -> None:
        TenantIntegration.objects.filter(pk=shop.pk).update(is_active=False)
        for target in (shop, 999_999, "00000000-0000-4000-8000-000000000000"):
            with django_assert_num_queries(1):
                send(target)

    def test_404_of_a_kind_that_does_not_call_back(self) -> None:
        with provider("") as key:
            answer = send(make_connection(make_tenant(), key))
        assert (answer.status_code, answer.content) == (404, send(999_999).content)

    def test_404_of_a_deleted_tenant(self, shop: TenantIntegration) -> None:
        shop.tenant.delete()
        assert send(shop).status_code == 404

    @pytest.mark.integration
    def test_401_leaves_a_trace_that_nobody_processes(self, shop: TenantIntegration) -> None:  # B202
        body = b'"' + b"x" * 100_000 + b'"'
        answer = send(shop, body, signed=headers_of("github", body, secret=OTHER_SECRET), X_Id="d-1")
        assert (answer.status_code, answer.json()) == (401, {"detail": "The signature is missing or wrong."})
        (row,) = rows()
        assert not row.signature_valid and row.next_attempt_at is None and len(bytes(row.body)) == 4096
        assert row.error == "It was signed with another secret, or the body was changed after it was signed. (mismatch)"
        assert send(shop, X_Id="d-1").json() == {"status": "received"}  # a forger cannot take a delivery's place

    def test_401_keeps_only_a_few_of_them(self, shop: TenantIntegration) -> None:
        with time_machine.travel(NOW, tick=False) as clock:
            assert [send(shop, signed={}).status_code for _ in range(30)] == [401] * 10 + [429] * 20
            assert len(rows()) == 10
            clock.shift(60)
            send(shop, signed={})
        assert len(rows()) == 11

    def test_refusals_do_not_fill_the_log(self, shop: TenantIntegration, caplog: Any, settings: Any) -> None:
        with time_machine.travel(NOW, tick=False) as clock:
            for _ in range(20):
                send(shop, signed={})
                send(999_999)
            assert len(caplog.records) == 5
            clock.shift(60)
            send(shop, signed={})
            assert len(caplog.records) == 6
        settings.CACHES = {"default": {"BACKEND": "integrations.tests.broken_cache.BrokenCache"}}
        for _ in range(20):
            assert send(shop, signed={}).status_code == 401
        assert len(caplog.records) <= 7

    def test_401_of_many_integrations_does_not_fill_the_disk(self, shop: TenantIntegration) -> None:
        shops = [make_connection(shop.tenant, name=f"Shop {n}") for n in range(6)]
        huge = dict.fromkeys(
            sorted(name for name in HARMLESS if name[:8] in ("webhook-", "x-reques", "x-correl")), "x" * 2000
        )
        with time_machine.travel(NOW, tick=False):
            assert {send(shop, signed=huge).status_code for shop in shops for _ in range(8)} == {401}
        assert len(rows()) == 30
        assert max(len(str(row.headers)) + len(bytes(row.body)) for row in rows()) < 10_000

    def test_401_stores_nothing_while_nobody_counts(self, shop: TenantIntegration, settings: Any) -> None:
        settings.CACHES = {"default": {"BACKEND": "integrations.tests.broken_cache.BrokenCache"}}
        assert send(shop, signed={}).status_code == 401 and not rows()
        assert send(shop).status_code == 200

    @pytest.mark.parametrize("secret", ["", "   "])
    def test_401_without_a_secret(self, kind: str, secret: str) -> None:  # B203
        shop = make_connection(make_tenant(), kind, secret=secret)
        for signed in ({}, headers_of("github", BODY, secret=secret), headers_of("github", BODY)):
            assert send(shop, signed=signed).status_code == 401

    def test_either_secret_of_a_rotation(self, kind: str) -> None:
        shop = make_connection(make_tenant(), kind, secret=f"{OTHER_SECRET}\n{SECRET}")
        assert send(shop).status_code == 200

    def test_replayed_too_late(self) -> None:
        with provider("stripe") as key:
            shop = make_connection(make_tenant(), key)
            for at, status in ((-301, 401), (302, 401), (-290, 200)):
                signed = headers_of("stripe", BODY, at=int(time.time()) + at)
                assert send(shop, signed=signed).status_code == status

    def test_429(self, shop: TenantIntegration, settings: Any) -> None:
        settings.INTEGRATIONS = {"INBOUND_PER_MINUTE": 2}
        with time_machine.travel(NOW, tick=False) as clock:
            answers = [send(shop, X_Id=str(n)) for n in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 429, 429] and len(rows()) == 2
            assert send(shop, signed={}).status_code == 401  # strangers do not learn how busy it is
            clock.shift(int(answers[-1]["Retry-After"]))
            assert send(shop, X_Id="3").status_code == 200


@in_one_transaction
class TestActions:
    @pytest.fixture
    def flow(self) -> Iterator[TenantIntegration]:
        actions.register_action("demo-effect", "An effect", lambda dto, connection: None)
        with provider("github", is_chosen=True, id_header="X-Id") as key:
            yield make_connection(make_tenant(), key, inbound_actions=["demo-effect", "gone"])
        actions.forget_action("demo-effect")

    @pytest.mark.parametrize(
        ("action", "status"), [("demo-effect", 200), ("workitem-note", 403), ("gone", 403), ("anything", 403)]
    )
    def test_people_allow_each(self, flow: TenantIntegration, action: str, status: int) -> None:
        assert send(flow, action=action).status_code == status
        assert len(rows()) == (status == 200)

    def test_a_stranger_does_not_learn_what_is_allowed(self, flow: TenantIntegration) -> None:
        answers = [send(flow, action=action, signed={}) for action in ("demo-effect", "workitem-note")]
        assert {answer.status_code for answer in answers} == {401}

    def test_one_id_may_ask_for_two_things(self, flow: TenantIntegration) -> None:
        actions.register_action("demo-other", "Another", lambda dto, connection: None)
        flow.inbound_actions = ["demo-effect", "demo-other"]
        flow.save()
        try:
            answers = [send(flow, action=each, X_Id="d-1") for each in ("demo-effect", "demo-other") * 2]
            told = [send(flow, b"[1]", action=each) for each in ("demo-effect", "demo-other")]
        finally:
            actions.forget_action("demo-other")
        assert [answer.json()["status"] for answer in answers] == ["received"] * 2 + ["duplicate"] * 2
        assert [answer.json()["status"] for answer in told] == [
            "received",
            "duplicate",
        ]  # no id

    @pytest.mark.parametrize(
        ("named", "status"), [('"demo-effect"', 200), ('"demo-other"', 400), ("null", 400), ('["demo-effect"]', 400)]
    )
    def test_the_body_names_no_other_action(self, flow: TenantIntegration, named: str, status: int) -> None:
        answer = send(flow, f'{{"action": {named}}}'.encode(), action="demo-effect")
        assert answer.status_code == status and len(rows()) == (status == 200)
        if status == 400:
            assert answer.json()["detail"] == 'action: must be "demo-effect", as in the address, or be left out.'

    def test_where_it_is_no_inbound_action_the_body_says_what_it_likes(self, shop: TenantIntegration) -> None:
        assert send(shop, b'{"action": "opened"}', action="issues").status_code == 200

    def test_a_provider_names_its_own(self, shop: TenantIntegration) -> None:
        assert send(shop, action="Orders_2.created").status_code == 200


def test_slack_gets_its_challenge_after_the_proof() -> None:
    body = b'{"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV"}'
    with provider("slack") as key:
        slack = make_connection(make_tenant(), key)
        answer = send(slack, body, scheme="slack")
        assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1aBm2rZgRNFdxV"})
        assert not rows()
        assert send(slack, body, signed=headers_of("slack", body, secret=OTHER_SECRET)).status_code == 401


@in_one_transaction
@pytest.mark.parametrize(
    "vector",
    params("signature-vectors", lambda v: v["direction"] == "inbound" and v["scheme"] != "generic", key="vectors"),
)
def test_vector(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid ones are stored, or refused for their content alone; invalid ones are 401, never an error of ours."""
    scheme = vector["scheme"].removesuffix("-v1a")
    with provider(scheme, sends_forms=True) as key, time_machine.travel(vector["now"], tick=False):
        shop = make_connection(make_tenant(), key, secret=vector["secret"])
        headers = {name: value.encode().decode("latin-1") for name, value in vector["headers"].items()}
        content_type = headers.pop("Content-Type", "application/json" if scheme != "woocommerce" else "")
        answer = send(shop, body_of(vector), signed=headers, content_type=content_type)
    if vector["expect"] == "invalid":
        assert answer.status_code == 401
    else:
        is_object = "body_base64" not in vector and vector["body"]
        assert answer.status_code == (200 if is_object else 400)


def forget_connections() -> None:
    """Close the connections, and the pool that keeps them."""
    connections.close_all()
    if hasattr(database, "close_pool"):
        database.close_pool()


@pytest.mark.integration
class TestTheOutsideFails:
    def test_503_while_the_database_is_away(self, shop: TenantIntegration, caplog: Any) -> None:  # B215
        forget_connections()
        good, settings = database.settings_dict["NAME"], database.settings_dict
        settings["NAME"] = "/nowhere/at/all" if database.vendor == "sqlite" else "no_such_database"
        try:
            answer = send(shop)
        finally:
            forget_connections()
            settings["NAME"] = good
        assert answer.status_code == 503 and int(answer["Retry-After"]) > 0
        assert send(shop).status_code == 200

    def test_503_while_the_table_cannot_be_written(self, shop: TenantIntegration) -> None:
        """The lookup works, the store does not."""
        with database.schema_editor() as editor:
            editor.execute("ALTER TABLE integrations_webhookevent RENAME TO elsewhere")
        try:
            answer = send(shop)
        finally:
            with database.schema_editor() as editor:
                editor.execute("ALTER TABLE elsewhere RENAME TO integrations_webhookevent")
        assert answer.status_code == 503
        assert send(shop).status_code == 200

    def test_200_while_the_broker_is_away(
        self, shop: TenantIntegration, monkeypatch: pytest.MonkeyPatch, broker: Broker
    ) -> None:  # B216
        use_broker(Broker("redis", "redis://127.0.0.1:1/"), monkeypatch)
        with waiting() as waited:
            assert send(shop).status_code == 200
        assert waited.seconds < 2
        (row,) = rows()
        assert row.status == "received" and row.next_attempt_at

    def test_a_receiver_that_raises_costs_nothing(self, shop: TenantIntegration, caplog: Any) -> None:
        def broken(**_: Any) -> None:
            raise RuntimeError(CANARY)

        webhook_event_received.connect(broken)
        try:
            assert send(shop).status_code == 200
        finally:
            webhook_event_received.disconnect(broken)
        assert "broken" in caplog.text and CANARY not in caplog.text

    def test_a_connector_that_cannot_parse_costs_no_delivery(self, caplog: Any) -> None:
        with provider("github") as key:
            from integrations.connectors.registry import ConnectorRegistry

            def parse_webhook(self: BaseConnector, headers: Any, body: bytes) -> WebhookDTO:
                raise KeyError(CANARY)

            ConnectorRegistry.type_of(key).parse_webhook = parse_webhook  # type: ignore[assignment, method-assign]
            shop = make_connection(make_tenant(), key)
            assert send(shop).status_code == 200
        assert rows()[0].status == "received" and CANARY not in caplog.text

    def test_503_while_the_keys_are_missing(self, shop: TenantIntegration, settings: Any) -> None:
        TenantIntegration.objects.filter(pk=shop.pk).update(credentials_encrypted="v1:broken")
        answer = send(shop)
        assert answer.status_code == 503 and answer["Retry-After"]


def test_secrets_go_nowhere(kind: str, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    secret = f"{CANARY}-secret"
    shop = make_connection(make_tenant(), kind, secret=secret)
    logins = {
        "Authorization": f"Bearer {CANARY}",
        "Cookie": f"sessionid={CANARY}",
        "Proxy-Authorization": CANARY,
        "X-Api-Key": CANARY,
        "X-Auth-Token": CANARY,
        "X-Odd": f"the secret is {secret}",
    }
    answers = [
        send(shop, signed={**headers_of("github", BODY, secret=secret), **logins}, X_Id="d-1"),
        send(shop, signed={**headers_of("github", BODY), **logins}),
        send(shop, CANARY.encode(), signed={**headers_of("github", CANARY.encode(), secret=secret), **logins}),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 400]
    shown = caplog.text + "".join(answer.content.decode() for answer in answers)
    stored = "".join(f"{row.headers}{row.error}{row.payload}{row.idempotency_key}" for row in rows())
    assert CANARY not in shown + stored
    assert all("X-Hub-Signature-256" in row.headers for row in rows())


def test_its_own_secrets_are_stored_nowhere(kind: str) -> None:
    """Whatever the name of the header, and in the body of who proved nothing."""
    shop = make_connection(make_tenant(), kind, secret=SECRET, headers={"X-Ours": f"{CANARY}-header"})
    names = ("X-Request-Id", "User-Agent", "X-GitHub-Hook-Id", "X-Event")
    values = dict.fromkeys(names, f"{SECRET} {CANARY}-header") | {"X-Event": "x" * 2040 + SECRET}
    values |= dict.fromkeys(("X-Auth-Signature", "X-Shop-AuthKey", "X-Odd", "X-Other-Signature"), "lets in")
    body = b'{"s": "%b", "pad": "%b%b"}' % (SECRET.encode(), b"\xff" * 4050, SECRET.encode())
    assert send(shop, signed={**headers_of("github", BODY), **values}).status_code == 200
    assert send(shop, body, signed={**headers_of("github", BODY, secret=OTHER_SECRET), **values}).status_code == 401
    assert len(rows()) == 2
    for row in rows():
        stored = f"{row.headers}{bytes(row.body)!r}"
        assert CANARY not in stored and SECRET[:8] not in stored and "lets in" not in stored
        kept = {name.lower(): value for name, value in row.headers.items()}
        assert {name.lower() for name in names} < set(kept) and kept["x-request-id"] == "*** ***"
    assert rows()[0].headers["X-Hub-Signature-256"] == headers_of("github", BODY)["X-Hub-Signature-256"]
    assert 4000 < len(bytes(rows()[1].body)) <= 4096


# -- what only a server shows ------------------------------------------------------------------------------


def wsgi(path: str, stream: Any, **environ: Any) -> tuple[int, bytes]:
    """Call the application as a server does."""
    status: list[str] = []
    values = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.input": stream,
        "wsgi.url_scheme": "https",
        "wsgi.errors": io.StringIO(),
        "CONTENT_TYPE": "application/json",
        **environ,
    }
    response = WSGIHandler()(values, lambda line, headers: status.append(line))
    content = b"".join(response)
    response.close()
    return int(status[0].split()[0]), content


class Endless(io.RawIOBase):
    """A body without an end, which counts what is read of it."""

    taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "an unbounded read"
        self.taken += size
        return b" " * size


class Broken(Endless):
    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError


class TestServers:
    @pytest.fixture
    def environ(self) -> dict[str, str]:
        return {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in headers_of("github", BODY).items()}

    def test_chunks_that_the_server_decodes(self, shop: TenantIntegration, environ: dict[str, str]) -> None:
        more = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        status, _ = wsgi(f"/webhooks/{shop.pk}/x/", io.BytesIO(BODY), **environ, **more)
        assert status == 200 and bytes(rows()[0].body) == BODY

    def test_chunks_that_it_does_not_decode(self, shop: TenantIntegration, environ: dict[str, str]) -> None:
        stream = Endless()
        status, _ = wsgi(f"/webhooks/{shop.pk}/x/", stream, **environ, HTTP_TRANSFER_ENCODING="chunked")
        assert status == 411 and not stream.taken

    def test_chunks_without_an_end(self, shop: TenantIntegration) -> None:
        stream = Endless()
        more = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        assert wsgi(f"/webhooks/{shop.pk}/x/", stream, **more)[0] == 413
        assert stream.taken <= MAX_BYTES + 1

    def test_too_long_by_its_own_word_is_not_read(self, shop: TenantIntegration) -> None:
        stream = Endless()
        for length in (str(MAX_BYTES + 1), "9" * 30):
            assert wsgi(f"/webhooks/{shop.pk}/x/", stream, CONTENT_LENGTH=length)[0] == 413
        assert not stream.taken

    def test_a_sender_that_goes_away(self, shop: TenantIntegration, environ: dict[str, str]) -> None:
        assert wsgi(f"/webhooks/{shop.pk}/x/", Broken(), **environ, CONTENT_LENGTH="11")[0] == 400
        assert wsgi(f"/webhooks/{shop.pk}/x/", io.BytesIO(b'{"id"'), **environ, CONTENT_LENGTH="11")[0] == 401

    def test_chunks_that_are_none(self, shop: TenantIntegration, environ: dict[str, str], caplog: Any) -> None:
        more = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        for raw in (b"zz\r\nab\r\n", b"2\r\nabX", b"-1\r\n"):
            stream = Body(ChunkedReader(None, IterUnreader([raw])))  # gunicorn's own
            assert wsgi(f"/webhooks/{shop.pk}/x/", stream, **environ, **more)[0] == 400
        assert "Traceback" not in caplog.text

    def test_nobody_reads_what_is_sent_to_nobody(self, shop: TenantIntegration) -> None:
        stream = Endless()
        for target in (999_999, "00000000-0000-4000-8000-000000000000"):
            assert wsgi(f"/webhooks/{target}/x/", stream, CONTENT_LENGTH="1000")[0] == 404
        TenantIntegration.objects.filter(pk=shop.pk).update(is_active=False)
        assert wsgi(f"/webhooks/{shop.pk}/x/", stream, CONTENT_LENGTH="1000")[0] == 404
        assert not stream.taken

    @pytest.mark.parametrize("shows_its_socket", [True, False])
    def test_408_of_a_sender_that_trickles(
        self, shop: TenantIntegration, monkeypatch: pytest.MonkeyPatch, shows_its_socket: bool
    ) -> None:
        monkeypatch.setattr(request_body, "READ_SECONDS", 0.3)
        ours, theirs = socket.socketpair()
        is_over = threading.Event()

        def trickle() -> None:
            with suppress(OSError):
                while not is_over.wait(0.02):
                    theirs.send(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            # As gunicorn reads: until it has all that it was asked for. Others give what there is.
            stream = ours.makefile("rb", buffering=-1 if shows_its_socket else 0)
            more = {"gunicorn.socket": ours} if shows_its_socket else {}
            with waiting() as waited:
                status, content = wsgi(f"/webhooks/{shop.pk}/x/", stream, CONTENT_LENGTH="1000", **more)
            ours.send(b"the answer")  # that way is open
            assert theirs.recv(10) == b"the answer"
        finally:
            is_over.set()
            thread.join(10)
            stream.close()
            ours.close()
            theirs.close()
        assert status == 408 and b"took too long" in content and waited.seconds < 5


@pytest.mark.integration
def test_two_copies_at_once_are_one_row(shop: TenantIntegration) -> None:
    start, answers = threading.Barrier(6), []

    def post() -> None:
        try:
            start.wait(10)
            answers.append(send(shop, X_Id="d-1").json()["status"])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == ["duplicate"] * 5 + ["received"]
    assert [row.duplicates for row in rows()] == [5]
