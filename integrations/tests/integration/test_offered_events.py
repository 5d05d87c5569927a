"""A kind of system is offered the events that it can take, and no others: in the form, by the API, as a test event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integrations.connections import event_types
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery.trial import send_test_event, try_connection
from integrations.errors import IntegrationError, IntegrationPermanentError, IntegrationTemporaryError
from integrations.models import TenantIntegration
from integrations.tests.factories import ALL_EVENTS
from integrations.transport.http.guarded_client import client

from .admin_world import Side, form_values, make_side, page, url
from .test_api import call

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]
SAP = {"base_url": "https://sap.example.com/sap/opu/odata/sap/API_SALES_ORDER_SRV", "sales_organization": "1010"}
WOO = {"store_url": "https://shop.example.com", "consumer_key": "ck_1", "consumer_secret": "cs_1"}


@pytest.fixture(autouse=True)
def _http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def side() -> Side:
    return make_side("acme")


@pytest.fixture
def order_placed() -> Iterator[str]:
    """An event of a host whose payload holds an order."""
    event_types.register("order_placed", "Order placed", example={"order": {"id": 1, "lines": []}})
    yield "order_placed"
    event_types._known.pop("order_placed")


def offered(key: str) -> list[str]:
    return [name for name, _ in event_types.offered_to(ConnectorRegistry.type_of(key).manifest)]


@pytest.mark.parametrize("key", ["SAP", "EDI", "woocommerce"])
def test_what_takes_no_events_is_offered_none(key: str) -> None:
    assert offered(key) == []


@pytest.mark.parametrize("key", ["webhook", "slack", "DROPZONE_JSON_V1", "MOCK"])
def test_what_takes_any_event_is_offered_all(key: str) -> None:
    assert set(ALL_EVENTS) <= set(offered(key))


def test_what_takes_orders_is_offered_events_that_hold_one(order_placed: str) -> None:
    assert offered("SAP") == [order_placed] == offered("EDI") and offered("woocommerce") == []


def test_the_form_offers_no_others(side: Side) -> None:
    add = url("tenantintegration", "add")
    assert "workitem_created" not in page(side.client, f"{add}?integration_type=SAP")
    assert "workitem_created" in page(side.client, f"{add}?integration_type=webhook")


def test_ticks_of_the_kind_that_was_chosen_before_are_not_taken_over(side: Side) -> None:
    values = {"integration_type": "woocommerce", "shown_type": "woocommerce", **WOO, "webhook_url": ""}
    response = side.client.post(url("tenantintegration", "add"), form_values(side.tenant, **values))
    assert response.status_code == 302
    assert not TenantIntegration.objects.get(integration_type="woocommerce").subscriptions.exists()


def test_what_was_ticked_before_can_be_taken_away_and_is_named(side: Side) -> None:
    sap = TenantIntegration.objects.create(tenant=side.tenant, name="ERP", integration_type="SAP", config=SAP)
    change, workbench = url("tenantintegration", "change", sap.pk), f"/console/integrations/{sap.public_id}/"
    shown = page(side.client, workbench)
    assert "no event type is ticked" not in shown and "Send test event" not in shown and "Check connection" in shown
    sap.subscribe("workitem_created")
    assert "workitem_created (cannot be sent there)" in page(side.client, change)
    shown = page(side.client, workbench)
    assert "workitem_created cannot be sent there: SAP S/4HANA (sales orders) takes orders" in shown


@pytest.mark.parametrize(
    ("key", "filled", "words"),
    [("SAP", SAP, "takes orders, and its payload holds none"), ("woocommerce", WOO, "takes no events")],
)
def test_the_api_refuses_them(key: str, filled: dict[str, str], words: str, side: Side) -> None:
    body = {"type": key, "name": "A", "settings": filled, "is_active": False, "events": ["workitem_created"]}
    answer = call(side.client, "post", "/connections/", body)
    assert answer.status_code == 422 and words in answer.json()["fields"]["events"]
    made = TenantIntegration.objects.create(tenant=side.tenant, name="A", integration_type=key)
    path = f"/connections/{made.public_id}"
    assert call(side.client, "patch", path, {"events": ["workitem_created"]}).status_code == 422
    made.subscribe("workitem_created")  # before it was refused
    assert call(side.client, "patch", path, {"events": ["workitem_created"]}).status_code == 200
    kinds = {kind["type"]: kind["events"] for kind in call(side.client, "get", "/connectors/").json()}
    assert kinds[key] == [] and "workitem_created" in kinds["webhook"]


# -- test events ------------------------------------------------------------------------------------------------------


def connected(side: Side, key: str, **fields: Any) -> TenantIntegration:
    return TenantIntegration.objects.create(
        tenant=side.tenant, name=key, integration_type=key, is_connected=True, **fields
    )


@pytest.mark.parametrize("key", ["SAP", "EDI"])
def test_a_test_event_of_what_takes_orders_sends_nothing_and_changes_nothing(key: str, side: Side) -> None:
    settings = {"SAP": {"config": SAP, "credentials": {}}, "EDI": {
        "webhook_url": "https://edi.example.com/in", "config": {"sender": "A", "recipient": "B"}}}  # fmt: skip
    erp = connected(side, key, **settings[key])
    result = send_test_event(erp, client())
    assert not result.success and "takes no test event" in result.message
    erp.refresh_from_db()
    assert erp.is_connected


class Picky(BaseConnector):
    """Its check passes; it does not want the event."""

    manifest = Manifest(key="picky", label="Picky", fields=(Field(name="mood"),), does=("deliver", "check"))
    error: IntegrationError = IntegrationPermanentError("no such field", status=422)

    def deliver(self, envelope: Envelope) -> Receipt:
        raise self.error

    def check(self) -> str:
        return "Fine."


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (IntegrationPermanentError("no such field", status=422), True),
        (IntegrationTemporaryError("it is away", status=503), False),
    ],
)
def test_a_test_event_that_is_not_wanted_leaves_a_green_check_green(
    error: IntegrationError, stays: bool, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Picky, "error", error)
    ConnectorRegistry.register(Picky)
    try:
        picky = connected(side, "picky")
        assert try_connection(picky).success
        assert not send_test_event(picky, client()).success
        picky.refresh_from_db()
        assert picky.is_connected is stays
    finally:
        ConnectorRegistry.unregister("picky")
