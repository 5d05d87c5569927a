"""docs/adding-a-model.md, as it is printed: a host's app is made of its blocks, and every example is run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType

from app.celery import app
from integrations.capture import trigger_handler
from integrations.capture.discovery import discover
from integrations.connections.conditions import validate_condition
from integrations.connectors.incoming import WebhookDTO
from integrations.errors import IntegrationPermanentError
from integrations.inbound.actions import forget_action, run_action
from integrations.models import TenantIntegration
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.hostapp.installed import host_models
from integrations.tests.registered_types import forgotten_afterwards
from integrations.tests.services import PROJECT
from tenants.models import Tenant

from .world import INVOICES, bodies, heard

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True), pytest.mark.portable]

PAGE = (PROJECT / "docs" / "adding-a-model.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PATH = re.compile(r"# (billing/\w+\.py)(, at the end)?\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory: Any, django_db_setup: None, django_db_blocker: Any) -> Iterator[SimpleNamespace]:
    """The app of the page; its tenant model is ours."""
    root: Path = tmp_path_factory.mktemp("host")
    (root / "billing").mkdir()
    for code in CODE:
        if found := PATH.match(code):
            with (root / found[1]).open("a") as file:
                file.write(code.replace('"accounts.Account"', '"tenants.Tenant"'))
    sys.path.insert(0, str(root))
    try:
        with (
            forgotten_afterwards(),
            django_db_blocker.unblock(),
            host_models(("billing",), package="") as models,
            django_db_blocker.block(),
        ):
            discover()
            yield models
            handler = next(each for each in trigger_handler.handlers() if each.model is models.Invoice)
            handler.disconnect()
            with django_db_blocker.unblock():
                ContentType.objects.filter(app_label="billing").delete()
                ContentType.objects.clear_cache()
    finally:
        forget_action("invoice-paid")
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name.split(".")[0] == "billing"]:
            del sys.modules[name]


@pytest.fixture
def acme(page: SimpleNamespace) -> Tenant:
    tenant = make_tenant()
    make_integration(tenant, events=(*INVOICES, "invoice_overdue"), inbound_actions=["invoice-paid"])
    return tenant


@pytest.fixture
def invoice(page: SimpleNamespace, acme: Tenant) -> Any:
    client = page.Client.objects.create(account=acme, name="Ann")
    return page.Invoice.objects.create(client=client, number="INV-7", status="sent", amount="99.5")


def the_example(word: str) -> str:
    (found,) = [code for code in CODE if word in code and not PATH.match(code)]
    return found


def test_every_block_is_run_by_a_test_of_this_file() -> None:
    assert [bool(PATH.match(code)) for code in CODE] == [True, True, True, False, True, False]


def test_what_a_receiver_gets(page: SimpleNamespace, invoice: Any) -> None:
    invoice.status = "paid"
    invoice.save()
    (printed,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    expected, body = json.loads(printed), bodies()[-1]
    assert list(body) == list(expected)
    for each in (expected, body):
        each["timestamp"] = each["tenant"]["id"] = each["invoice"]["id"] = each["invoice"]["client"]["id"] = "…"
    assert body == expected
    assert (
        dict(TenantIntegration.EVENT_TYPES).items()
        >= {
            "invoice_created": "Invoice created",
            "invoice_status_changed": "Invoice status changed",
            "invoice_updated": "Invoice updated",
            "invoice_deleted": "Invoice deleted",
            "invoice_overdue": "Invoice overdue",
        }.items()
    )
    validate_condition("invoice.status == 'Paid' && changes.status.old == 'Sent'", "invoice_status_changed")


def test_an_archived_one_is_an_event_too(page: SimpleNamespace, invoice: Any) -> None:
    page.Invoice.objects.update(is_archived=True)
    invoice.refresh_from_db(from_queryset=page.Invoice._base_manager.all())
    invoice.number = "INV-8"
    invoice.save()
    assert heard()[-1][1] == "invoice_updated"


def test_the_event_of_the_page(page: SimpleNamespace, invoice: Any) -> None:
    exec(the_example('event_type="invoice_overdue"'), {"invoice": invoice})
    assert (bodies()[-1]["event_type"], bodies()[-1]["days"]) == ("invoice_overdue", 3)


def test_the_action_of_the_page(page: SimpleNamespace, invoice: Any) -> None:
    theirs = page.Invoice.objects.create(
        client=page.Client.objects.create(account=make_tenant("Other"), name="Bob"), number="1", status="sent", amount=1
    )
    caller = TenantIntegration.objects.get()
    run_action("invoice-paid", WebhookDTO("", {"invoice_id": invoice.pk}), caller)
    for wrong in ({}, {"invoice_id": "x"}, {"invoice_id": theirs.pk}):
        with pytest.raises(IntegrationPermanentError, match=r"^invoice_id: "):
            run_action("invoice-paid", WebhookDTO("", wrong), caller)
    assert dict(page.Invoice.objects.values_list("pk", "status")) == {invoice.pk: "paid", theirs.pk: "sent"}


def test_the_hand_made_event_of_the_page(page: SimpleNamespace, invoice: Any) -> None:
    integration = TenantIntegration.objects.get()
    TenantIntegration.objects.update(is_enabled=False)  # it is recorded, and not sent
    content_type = ContentType.objects.get_for_model(page.Invoice)
    names = {"invoice": invoice, "integration": integration, "content_type": content_type}
    app.conf.task_always_eager = True
    try:
        exec(the_example("send_integration_webhook.delay("), names)
    finally:
        app.conf.task_always_eager = False
    assert bodies()[-1] == {"test": "data"}
