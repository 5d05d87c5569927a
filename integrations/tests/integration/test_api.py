"""The JSON API: kinds, connections, tests; each tenant its own, secrets only inwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client, override_settings

from integrations.connections.binding import settings_of
from integrations.connections.settings import apply_settings
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.masking import MASK
from integrations.delivery.drain import drain
from integrations.models import TenantIntegration
from integrations.tests.receiver import Receiver
from tenants.models import Membership

from .admin_world import CANARIES, Side, make_side

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]


PLACE = {"url": "https://a.example.com"}


@pytest.fixture(autouse=True)
def _http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def side() -> Side:
    return make_side("acme")


def call(client: Client, method: str, path: str, body: Any = None) -> Any:
    send = getattr(client, method)
    return (
        send(f"/api{path}", data=json.dumps(body), content_type="application/json")
        if body is not None
        else send(f"/api{path}")
    )


def test_it_lists_the_kinds_with_their_fields(side: Side) -> None:
    kinds = {kind["type"]: kind for kind in call(side.client, "get", "/connectors/").json()}
    assert {"webhook", "n8n"} <= set(kinds)
    fields = {field["name"]: field for field in kinds["webhook"]["fields"]}
    assert fields["url"]["required"] and fields["password"]["kind"] == "secret"
    assert call(side.client, "get", "/connectors/?family=nothing").json() == []


def test_a_connection_is_set_up_tried_and_shown_without_secrets(side: Side, receiver: Receiver) -> None:
    url = f"{receiver.url}/canary-path?token=canary-query"
    with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": [receiver.netloc]}):
        answer = call(side.client, "post", "/connections/", {
            "type": "webhook", "name": "From the API", "events": ["workitem_created"],
            "settings": {"url": url, "headers": {"X-API-Key": "canary-header"}, "password": "canary-password",
                         "username": "jane"},
        })  # fmt: skip
    assert (answer.status_code, answer.json()["connected"]) == (201, True)
    integration = TenantIntegration.objects.get(public_id=answer.json()["id"])
    assert integration.tenant == side.tenant and integration.webhook_url == url and integration.is_connected
    shown = call(side.client, "get", f"/connections/{integration.public_id}")
    assert shown.json()["settings"] == {
        "url": f"http://{receiver.netloc}/•••", "headers": {"X-API-Key": MASK}, "password": MASK, "username": "jane",
    }  # fmt: skip
    assert shown.json()["events"] == ["workitem_created"]
    everything = shown.content + answer.content + call(side.client, "get", "/connections/").content
    assert not any(canary.encode() in everything for canary in CANARIES)


def test_it_is_kept_also_if_the_try_fails(side: Side) -> None:
    with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": ["127.0.0.1:1"]}):
        answer = call(side.client, "post", "/connections/", {
            "type": "webhook", "name": "Nobody there", "settings": {"url": "http://127.0.0.1:1/x"},
        })  # fmt: skip
    assert answer.status_code == 201 and answer.json()["connected"] is False
    assert "refuses connections" in answer.json()["message"]
    assert TenantIntegration.objects.get(name="Nobody there").is_connected is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "webhook", "name": "x", "settings": {}}, "url"),
        ({"type": "webhook", "name": "x", "settings": {"url": "http://169.254.169.254/"}}, "url"),
        ({"type": "webhook", "name": "x", "settings": {"url": "https://a.example.com", "colour": "red"}}, "colour"),
        ({"type": "n8n", "name": "x", "settings": {**PLACE, "api_key": "a\r\nX-Other: b"}}, "api_key"),
        (
            {"type": "n8n", "name": "x", "settings": {**PLACE, "api_key": "a", "api_key_header": "Host"}},
            "api_key_header",
        ),
        ({"type": "webhook", "name": "x", "settings": {"url": "https://a.example.com"}, "events": ["nope"]}, "events"),
        ({"type": "webhook", "name": "x", "settings": {"url": "https://a.example.com"}, "tenant": "other"}, "tenant"),
    ],
)
def test_wrong_input_names_the_field(side: Side, body: dict[str, Any], field: str) -> None:
    make_side("other")
    before = TenantIntegration.objects.count()
    answer = call(side.client, "post", "/connections/", body)
    assert answer.status_code == 422 and list(answer.json()["fields"]) == [field]
    assert TenantIntegration.objects.count() == before


def test_an_unknown_kind_is_said(side: Side) -> None:
    answer = call(side.client, "post", "/connections/", {"type": "fax", "name": "x", "settings": {}})
    assert (answer.status_code, answer.json()["message"]) == (422, "Unknown connector type: 'fax'")


def test_a_change_keeps_what_it_does_not_mention(side: Side) -> None:
    path = f"/connections/{side.integration.public_id}"
    before, keys = settings_of(side.integration), side.integration.credentials["signing_keys"]
    answer = call(side.client, "patch", path, {"name": "Renamed", "settings": {"api_key": MASK}, "is_active": False})
    assert answer.status_code == 200 and answer.json()["name"] == "Renamed"
    side.integration.refresh_from_db()
    assert settings_of(side.integration) == before and side.integration.is_active is False
    call(side.client, "patch", path, {"settings": {"api_key": "new-key-123"}})
    side.integration.refresh_from_db()
    assert side.integration.credentials["api_key"] == "new-key-123"
    assert side.integration.credentials["signing_keys"] == keys


def test_stored_secrets_do_not_follow_the_address_to_another_server(side: Side) -> None:
    path = f"/connections/{side.integration.public_id}"
    url = side.integration.webhook_url
    answer = call(side.client, "patch", path, {"settings": {"url": "https://evil.example.net/"}})
    assert answer.status_code == 422 and "another server" in str(answer.json()["fields"])
    side.integration.refresh_from_db()
    assert side.integration.webhook_url == url


def test_another_port_of_the_same_host_is_another_server(side: Side) -> None:
    settings = {"smtp_host": "mail.example.com", "username": "jane", "password": "canary-password",
                "sender": "jane@example.com", "recipients": ["joe@example.com"]}  # fmt: skip
    integration = TenantIntegration(tenant=side.tenant, name="Mail", integration_type="email")
    apply_settings(integration, settings)
    integration.save()
    path = f"/connections/{integration.public_id}"
    answer = call(side.client, "patch", path, {"settings": {"smtp_port": 2525}})
    assert answer.status_code == 422 and list(answer.json()["fields"]) == ["password"]
    body = {"settings": {"smtp_port": 2525, "password": "typed-again"}}
    assert call(side.client, "patch", path, body).status_code == 200


def test_another_tenants_connection_does_not_exist(side: Side) -> None:
    other = make_side("umbrella")
    for method, suffix, body in (("get", "", None), ("patch", "", {"name": "mine"}), ("post", "/test", {})):
        answer = call(side.client, method, f"/connections/{other.integration.public_id}{suffix}", body)
        assert answer.status_code == 404
    assert "umbrella" not in call(side.client, "get", "/connections/").content.decode()


def test_permissions_and_csrf_hold(side: Side) -> None:
    user = User.objects.create_user("reader")
    Membership.objects.create(tenant=side.tenant, user=user)
    reader = Client()
    reader.force_login(user)
    assert call(reader, "get", "/connections/").status_code == 403
    assert call(Client(), "get", "/connections/").status_code == 401
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(side.user)
    assert call(strict, "post", "/connections/", {"type": "webhook", "name": "x", "settings": {}}).status_code == 403


def test_people_of_several_tenants_say_which(side: Side) -> None:
    other = make_side("umbrella")
    Membership.objects.create(tenant=other.tenant, user=side.user)
    body = {"type": "webhook", "name": "x", "settings": {"url": "https://a.example.com"}}
    assert "tenant" in call(side.client, "post", "/connections/", body).json()["fields"]
    with override_settings(INTEGRATIONS={"DNS_TIMEOUT_SECONDS": 1.0}):
        assert call(side.client, "post", "/connections/", {**body, "tenant": "umbrella-corp"}).status_code == 201
        by_key = {**body, "name": "y", "tenant": other.tenant.pk}
        assert call(side.client, "post", "/connections/", by_key).status_code == 201
    assert {row.tenant for row in TenantIntegration.objects.filter(name__in="xy")} == {other.tenant}


def test_the_description_is_for_staff_and_needs_nobody_elses_server(side: Side) -> None:
    assert Client().get("/api/docs").status_code == 302
    page = side.client.get("/api/docs")
    assert page.status_code == 200 and b"http" not in page.content.split(b"</head>")[0]
    assert "/api/connections/" in side.client.get("/api/openapi.json").json()["paths"]


@pytest.mark.parametrize("headers", [{"X-Token": MASK}, {"X-Token": MASK, "X-More": "entered"}])
def test_masked_headers_do_not_follow_the_address_either(side: Side, headers: dict[str, str]) -> None:
    settings = {"url": "https://evil.example.net/", "headers": headers, "password": "", "api_key": ""}
    answer = call(side.client, "patch", f"/connections/{side.integration.public_id}", {"settings": settings})
    assert answer.status_code == 422 and list(answer.json()["fields"]) == ["headers"]
    side.integration.refresh_from_db()
    assert side.integration.webhook_url.startswith("https://hooks.example.com/")


def test_headers_that_are_entered_again_may_go_to_the_new_address(side: Side) -> None:
    settings = {"url": "https://new.example.net/", "headers": {"X-Token": "again"}, "password": "", "api_key": ""}
    answer = call(side.client, "patch", f"/connections/{side.integration.public_id}", {"settings": settings})
    assert answer.status_code == 200, answer.content


def test_a_secret_does_not_leave_the_default_address_either(side: Side) -> None:
    side.integration.integration_type, side.integration.webhook_url, side.integration.headers = "github", "", {}
    side.integration.credentials, side.integration.config = {"token": "canary-token"}, {"repository": "acme/repairs"}
    side.integration.save()  # made in code: the address is nowhere but in the manifest
    path = f"/connections/{side.integration.public_id}"
    answer = call(side.client, "patch", path, {"settings": {"base_url": "https://api.evil.ghe.com"}})
    assert answer.status_code == 422 and list(answer.json()["fields"]) == ["token"]


class Open(BaseConnector):
    """A connector without a manifest: no fields, any configuration."""

    manifest = Manifest(key="odd-open", label="Open")


@pytest.fixture
def _open() -> Iterator[None]:
    ConnectorRegistry.register(Open)
    yield
    ConnectorRegistry.unregister("odd-open")


@pytest.mark.usefixtures("_open")
@pytest.mark.parametrize("place", ["base_url", "ledger_host", "where"])
def test_secrets_of_a_connector_without_fields_stay_with_its_server_too(side: Side, place: str) -> None:
    integration = TenantIntegration(tenant=side.tenant, name="Open", integration_type="odd-open")
    integration.credentials = {place: "https://erp.example.com", "token": "canary-token"}
    integration.save()
    path = f"/connections/{integration.public_id}"
    answer = call(side.client, "patch", path, {"settings": {place: "https://evil.example.net"}})
    assert answer.status_code == 422 and list(answer.json()["fields"]) == ["token"]
    answer = call(side.client, "patch", path, {"settings": {place: "https://new.example.net", "token": "again"}})
    assert answer.status_code == 200


@pytest.mark.usefixtures("_open")
def test_headers_of_a_connector_without_fields_must_be_headers(side: Side) -> None:
    for headers in ("nothing", [1], {"Host": "evil.example.net"}):
        body = {"type": "odd-open", "name": "x", "settings": {"headers": headers}}
        assert list(call(side.client, "post", "/connections/", body).json()["fields"]) == ["headers"]


def test_what_a_connector_demands_beyond_its_fields_counts(side: Side) -> None:
    """A Slack connection needs an address, or a token and a channel; no single field is required."""
    answer = call(side.client, "post", "/connections/", {"type": "slack", "name": "x", "settings": {}})
    assert (answer.status_code, sorted(answer.json()["fields"])) == (422, ["channel", "token"])
    settings = {"base_url": "https://acme.my.salesforce.com", "client_id": "x", "grant": ["odd"]}
    answer = call(side.client, "post", "/connections/", {"type": "salesforce", "name": "x", "settings": settings})
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["grant"])


def test_an_event_named_twice_is_one_subscription(side: Side) -> None:
    path = f"/connections/{side.integration.public_id}"
    events = ["workitem_updated", "workitem_updated"]
    assert call(side.client, "patch", path, {"events": events}).json()["events"] == ["workitem_updated"]


def test_a_body_that_is_nested_too_deeply_is_refused(side: Side) -> None:
    nested: Any = "x"
    for _ in range(900):
        nested = {"X-A": nested}
    body = {"settings": {"headers": nested}}
    assert call(side.client, "patch", f"/connections/{side.integration.public_id}", body).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "/connections/{}", {"name": "a\0b"}),
        ("post", "/connections/", {"type": "webhook", "name": "x", "tenant": "a\0b"}),
        ("get", "/connections/?offset=99999999999999999999", None),
    ],
)
def test_what_no_database_takes_is_refused(side: Side, method: str, path: str, body: Any) -> None:
    assert call(side.client, method, path.format(side.integration.public_id), body).status_code == 422


def test_one_unreadable_connection_hides_no_other(side: Side) -> None:
    TenantIntegration.objects.create(tenant=side.tenant, name="Gone", integration_type="not-installed")
    broken = TenantIntegration.objects.create(tenant=side.tenant, name="Broken", integration_type="webhook")
    TenantIntegration.unannounced.filter(pk=broken.pk).update(credentials_encrypted="garbage")
    answer = call(side.client, "get", "/connections/")
    assert answer.status_code == 200
    shown = {each["name"]: each["settings"] for each in answer.json()}
    assert shown["Gone"] == shown["Broken"] == {} and shown[side.integration.name]["api_key"] == MASK


# -- pushes --------------------------------------------------------------------------------------------------


@pytest.fixture
def erp(side: Side) -> TenantIntegration:
    return TenantIntegration.objects.create(
        tenant=side.tenant, name="ERP", integration_type="MOCK", config={"mode": "success"}
    )


@pytest.mark.django_db(transaction=True)
def test_an_order_is_pushed_once_and_stands_in_the_log(side: Side, erp: TenantIntegration) -> None:
    path = f"/connections/{erp.public_id}/push"
    first = call(side.client, "post", path, {"order": {"id": "A-1", "total": "9.90"}, "wait": True})
    assert (first.status_code, first.json()["status"], first.json()["draft_order_id"]) == (200, "SUCCESS", "A-1")
    again = call(side.client, "post", path, {"order": {"id": "A-1", "total": "9.90"}, "wait": True})
    assert again.json() == first.json()
    assert [row["id"] for row in call(side.client, "get", "/push-log/").json()] == [first.json()["id"]]
    other = make_side("umbrella")
    assert call(other.client, "get", "/push-log/").json() == []
    assert call(other.client, "post", path, {"order": {"id": "A-2"}}).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_push_nobody_waits_for_is_accepted(side: Side, erp: TenantIntegration) -> None:
    path = f"/connections/{erp.public_id}/push"
    answer = call(side.client, "post", path, {"order": {"id": 7}})
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    nameless = call(side.client, "post", path, {"order": {"total": "1"}})
    assert nameless.status_code == 422 and "draft_order" in nameless.json()["fields"]
    for never in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"):
        refused = call(side.client, "post", path, {"order": {"id": 8}, "not_before": never})
        assert refused.status_code == 422 and "not_before" in refused.content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_status_of_a_push_has_an_address(side: Side, erp: TenantIntegration) -> None:
    path = f"/connections/{erp.public_id}/push"
    answer = call(side.client, "post", path, {"order": {"id": 7}})
    assert answer["Location"] == answer.json()["status_url"] == f"/api/push-log/{answer.json()['id']}"
    assert side.client.get(answer["Location"]).json()["status"] == "PENDING"
    drain(erp.pk)
    assert side.client.get(answer["Location"]).json()["status"] == "SUCCESS"
    assert make_side("umbrella").client.get(answer["Location"]).status_code == 404
    assert call(side.client, "get", f"/push-log/{2**70}").status_code == 404
    side.user.user_permissions.remove(Permission.objects.get(codename="view_integrationsync"))
    assert side.client.get(answer["Location"]).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_mended_order_is_said_to_be_a_new_attempt(side: Side, erp: TenantIntegration) -> None:
    path = f"/connections/{erp.public_id}/push"
    TenantIntegration.objects.filter(pk=erp.pk).update(config={"mode": "permanent"})
    failed = call(side.client, "post", path, {"order": {"id": 7, "n": 0}, "wait": True})
    TenantIntegration.objects.filter(pk=erp.pk).update(config={"mode": "success"})
    mended = call(side.client, "post", path, {"order": {"id": 7, "n": 1}, "wait": True})
    assert (failed.json()["status"], mended.json()["status"]) == ("FAILED", "SUCCESS")
    assert failed.json()["note"] == "" and "a new one, attempt 1" in mended.json()["note"]


class Hanging(BaseConnector):
    """An ERP that answers when the test says so."""

    manifest = Manifest(key="HANGING", label="Hanging ERP", family="erp")
    asked, may_answer = threading.Semaphore(0), threading.Event()

    def deliver(self, envelope: Envelope) -> Receipt:
        self.asked.release()
        assert self.may_answer.wait(20)
        return Receipt(200)


@pytest.mark.django_db(transaction=True)
def test_few_pushes_may_wait_and_the_others_are_answered_at_once(side: Side, settings: Any) -> None:
    settings.INTEGRATIONS |= {"PUSH_WAITING": 2}
    ConnectorRegistry.register("HANGING", Hanging)
    Hanging.may_answer.clear()
    erps = [
        TenantIntegration.objects.create(tenant=side.tenant, name=f"ERP {n}", integration_type="HANGING")
        for n in range(4)
    ]

    def push(erp: TenantIntegration) -> Any:
        client = Client()
        client.force_login(side.user)
        try:
            return call(client, "post", f"/connections/{erp.public_id}/push", {"order": {"id": erp.pk}, "wait": True})
        finally:
            connections.close_all()

    try:
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(push, erp) for erp in erps[:2]]
            assert all(Hanging.asked.acquire(timeout=10) for _ in waiting)
            others = [push(erp) for erp in erps[2:]]  # while the first two still hang
            assert not any(each.done() for each in waiting)
            Hanging.may_answer.set()
            assert [each.result().status_code for each in waiting] == [200, 200]
        for answer in others:
            assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
            assert "Too many pushes are waited for" in answer.json()["note"] and answer["Location"]
        assert push(erps[0]).json()["note"] == "", "the places are free again"
        for erp in erps[2:]:
            assert drain(erp.pk).sent == 1
        assert {side.client.get(answer["Location"]).json()["status"] for answer in others} == {"SUCCESS"}
    finally:
        Hanging.may_answer.set()
        ConnectorRegistry.unregister("HANGING")


def test_a_family_that_is_not_theirs_is_refused(side: Side, erp: TenantIntegration) -> None:
    names = ["use_any_connector", "use_erp_connectors"]
    side.user.user_permissions.remove(*Permission.objects.filter(codename__in=names))
    path = f"/connections/{erp.public_id}"
    for method, suffix, body in (("patch", "", {"name": "x"}), ("post", "/test", {}), ("post", "/push", {"order": {}})):
        assert call(side.client, method, path + suffix, body).status_code == 403
    new = {"type": "MOCK", "name": "x", "settings": {}}
    assert call(side.client, "post", "/connections/", new).status_code == 403
    page = side.client.get("/admin/integrations/tenantintegration/add/").content.decode()
    assert 'value="webhook"' in page and 'value="MOCK"' not in page
    page = side.client.get(f"/admin/integrations/tenantintegration/{erp.pk}/change/").content.decode()
    assert 'name="_save"' not in page


# -- conditions -------------------------------------------------------------------------------------------------------

URGENT = "workitem.priority == 'Urgent'"


def test_conditions_are_set_shown_and_changed(side: Side) -> None:
    body = {
        "type": "webhook", "name": "Urgent ones", "settings": PLACE, "is_active": False,
        "events": ["workitem_created", "workitem_deleted"], "conditions": {"workitem_created": URGENT},
    }  # fmt: skip
    answer = call(side.client, "post", "/connections/", body)
    assert answer.status_code == 201
    path = f"/connections/{answer.json()['id']}"
    assert call(side.client, "get", path).json()["conditions"] == {"workitem_created": URGENT}

    # What is not mentioned stays; what is mentioned is all there is.
    answer = call(side.client, "patch", path, {"events": ["workitem_created", "workitem_updated"]})
    assert answer.json()["conditions"] == {"workitem_created": URGENT}
    answer = call(side.client, "patch", path, {"conditions": {"workitem_updated": URGENT}})
    assert answer.json()["conditions"] == {"workitem_updated": URGENT}
    assert answer.json()["events"] == ["workitem_created", "workitem_updated"]
    assert call(side.client, "patch", path, {"conditions": {}}).json()["conditions"] == {}


@pytest.mark.parametrize(
    ("conditions", "field", "words"),
    [
        ({"workitem_created": 'workitem.priority == "Urgent"'}, "conditions.workitem_created", "single quotes"),
        ({"workitem_created": "workitem.prority == 'x'"}, "conditions.workitem_created", "workitem.priority?"),
        ({"workitem_created": "((("}, "conditions.workitem_created", "JMESPath"),
        ({"workitem_created": f"{URGENT} || {'!' * 500}a"}, "conditions.workitem_created", "500"),
        ({"workitem_created": "workitem.comments == 'a\0'"}, "conditions.workitem_created", "cannot be stored"),
        ({"workitem_deleted": URGENT}, "conditions.workitem_deleted", "not among the events"),
    ],
)
def test_a_condition_that_no_event_meets_is_refused(
    conditions: dict[str, str], field: str, words: str, side: Side
) -> None:
    body = {"type": "webhook", "name": "A", "settings": PLACE, "is_active": False, "events": ["workitem_created"]}
    count = TenantIntegration.objects.count()
    refused = call(side.client, "post", "/connections/", {**body, "conditions": conditions})
    assert refused.status_code == 422 and words in refused.json()["fields"][field]
    assert TenantIntegration.objects.count() == count

    path = f"/connections/{call(side.client, 'post', '/connections/', body).json()['id']}"
    refused = call(side.client, "patch", path, {"name": "B", "conditions": conditions})
    assert refused.status_code == 422 and words in refused.json()["fields"][field]
    assert call(side.client, "get", path).json()["name"] == "A"


def test_a_condition_from_before_does_not_keep_the_others_from_being_changed(side: Side) -> None:
    old = "workitem.prority == 'Urgent'"
    side.integration.subscribe("workitem_created", "workitem_updated", conditions={"workitem_created": old})
    changes = {"conditions": {"workitem_created": old, "workitem_updated": URGENT}}
    answer = call(side.client, "patch", f"/connections/{side.integration.public_id}", changes)
    assert answer.status_code == 200 and answer.json()["conditions"] == changes["conditions"]


# -- one validation for both doors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [MASK, f" {MASK} ", f"x{MASK}", f"{MASK}x"])
def test_dots_are_no_new_password(side: Side, value: str) -> None:
    settings = {**PLACE, "username": "joe", "password": value}
    made = call(side.client, "post", "/connections/", {"type": "webhook", "name": "Hook", "settings": settings})
    assert made.status_code == 422 and "dots" in made.json()["fields"]["password"]
    kept = fresh(side)
    changed = call(side.client, "patch", f"/connections/{kept.public_id}", {"settings": {"api_key": value}})
    assert changed.status_code == 422 and "dots" in changed.json()["fields"]["api_key"]


def test_dots_of_a_header_stand_for_a_stored_one_or_are_refused(side: Side) -> None:
    kept = fresh(side, headers={"X-Token": "kept"})
    path = f"/connections/{kept.public_id}"
    for headers in ({"X-Other": MASK}, {"X-Token": f"x{MASK}"}):
        answer = call(side.client, "patch", path, {"settings": {"headers": headers}})
        assert answer.status_code == 422 and "dots" in answer.json()["fields"]["headers"]
    assert call(side.client, "patch", path, {"settings": {"headers": {"x-token": MASK}}}).status_code == 200
    kept.refresh_from_db()
    assert kept.headers == {"x-token": "kept"}


def test_spaces_around_a_secret_are_dropped_or_refused(side: Side) -> None:
    kept = fresh(side)
    path = f"/connections/{kept.public_id}"
    assert call(side.client, "patch", path, {"settings": {"api_key": " k3y\u200b"}}).status_code == 200
    kept.refresh_from_db()
    assert kept.credentials["api_key"] == "k3y"
    answer = call(side.client, "patch", path, {"settings": {"username": "joe", "password": "pw "}})
    assert answer.status_code == 422 and "space" in answer.json()["fields"]["password"]


def fresh(side: Side, **settings: Any) -> TenantIntegration:
    made = TenantIntegration(tenant=side.tenant, name="Fresh", integration_type="webhook")
    apply_settings(made, {**PLACE, **settings})
    made.save()
    return made
