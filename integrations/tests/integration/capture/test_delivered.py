"""The main job for a host's models: writes, a broker, a Celery worker, a receiver on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from integrations.models import IntegrationSync
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.receiver import Receiver
from integrations.tests.services import CeleryProcess, wait_until

from .world import INVOICES

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

POOL = "prefork" if connection.vendor == "postgresql" else "threads"


def test_a_hosts_invoice_reaches_the_receivers_of_both_tenants(
    billing: SimpleNamespace, celery_worker: Callable[..., CeleryProcess], receiver: Receiver
) -> None:
    worker = celery_worker(pool=POOL, concurrency=2, env={"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc})
    worker.wait_ready()
    acme, zulu = make_tenant(), make_tenant("Zulu Corp")
    for tenant in (acme, zulu):
        make_integration(tenant, f"{receiver.url}/{tenant.name.split()[0]}", events=INVOICES)
    ann, zoe = (
        billing.Client.objects.create(account=account, name=name) for account, name in ((acme, "Ann"), (zulu, "Zoe"))
    )
    invoice = billing.Invoice.objects.create(client=ann, amount=1)
    billing.Invoice.objects.filter(pk=invoice.pk).update(amount=2)
    ann.invoices.update(status="sent")
    invoice.refresh_from_db()
    invoice.client = zoe
    invoice.save()
    pk = invoice.pk
    invoice.delete()

    wait_until(lambda: IntegrationSync.objects.filter(status="synced").count() == 6)
    got: dict[str, list[Any]] = {"Acme": [], "Zulu": []}
    for request in receiver.requests:
        body = json.loads(request.body)
        assert body["invoice"]["id"] == pk
        whose = request.path.rpartition("/")[2]
        assert body["tenant"]["name"].startswith(whose)
        got[whose].append((body["event_type"], body["invoice"]["client"], body["invoice"]["amount"]))
    assert got == {
        "Acme": [
            ("invoice_created", "Ann", "1.00"),
            ("invoice_updated", "Ann", "2.00"),
            ("invoice_status_changed", "Ann", "2.00"),
            ("invoice_deleted", "Ann", "2.00"),
        ],
        "Zulu": [("invoice_created", "Zoe", "2.00"), ("invoice_deleted", "Zoe", "2.00")],
    }
