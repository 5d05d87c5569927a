"""The way in with a host's own models: its connections are asked, its table holds what came, its receivers hear."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from integrations.inbound.retention import purge_received
from integrations.models import WebhookEvent
from integrations.signals import webhook_event_processed
from integrations.tasks import process_webhook
from integrations.tests.inbound_world import BODY, SECRET, headers_of, provider, work_off
from integrations.tests.services import Broker

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _in_its_settings(broker: Broker, settings: Any) -> None:
    settings.BAPP_CONNECTORS = {
        "CONNECTION_MODEL": "connectors.Connection",
        "WEBHOOK_EVENT_MODEL": "connectors.WebhookEvent",
        "WEBHOOK_BASE_URL": "https://yourapp.com/webhooks/",
    }


@pytest.mark.parametrize("is_chosen", [False, True])
def test_from_the_request_to_the_receiver(host: Any, is_chosen: bool) -> None:
    told: list[dict[str, Any]] = []

    def hear(**values: Any) -> None:
        told.append(values)

    with provider("github", is_chosen=is_chosen, id_header="X-Id", event_header="X-Event") as key:
        company = host.Company.objects.create(name="Acme Corp")
        shop = host.Connection(company=company, provider_family="demo", provider_name=key, display_name="Main")
        shop.credentials = {"webhook_secret": SECRET}
        shop.save()
        url = shop.webhook_url_for("orders")
        assert url == f"https://yourapp.com/webhooks/{shop.public_id}/orders/"
        path = url.removeprefix("https://yourapp.com")
        headers = {**headers_of("github", BODY), "X-Id": "d-1", "X-Event": "order.created"}
        webhook_event_processed.connect(hear)
        try:
            answers = [Client(headers=headers).post(path, BODY, "application/json", secure=True) for _ in range(2)]
            assert [answer.json()["status"] for answer in answers] == ["received", "duplicate"]
            event = host.WebhookEvent.objects.get()
            assert event.connection == shop and not WebhookEvent.objects.exists()
            assert work_off() == {"processed": 1}
            assert process_webhook(event.pk, "connectors", "WebhookEvent") == {"outcome": "not due"}
        finally:
            webhook_event_processed.disconnect(hear)
        assert [values["event_type"] for values in told] == ["order.created"]
        assert told[0]["connection"] == shop and told[0]["provider_family"] == "demo"
        refused = Client().post(path, BODY, "application/json", secure=True)
        assert refused.status_code == 401 and host.WebhookEvent.objects.filter(signature_valid=False).count() == 1
        host.WebhookEvent.objects.update(received_at="2020-01-01T00:00Z")
        assert purge_received() == 2
