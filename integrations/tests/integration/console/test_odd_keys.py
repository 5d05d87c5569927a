"""What can be the key of no row is not found, wherever it stands: in an address, a filter, an event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, reverse

from integrations.admin.tenancy.scoped_admin import NoNumberTooLarge
from integrations.console.changes import changes_of
from integrations.console.urls import urlpatterns
from integrations.models import IntegrationEvent, IntegrationSync
from integrations.tests.factories import make_integration, make_item, make_tenant
from tasks.models import Customer

from .people import client_of, operator_of_all, person

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

TOO_LARGE = 2**63
NUMBERS = (0, TOO_LARGE, 10**30)
TEXTS = (
    "-1",
    "1.5",
    "²",
    "٣",
    "abc",
    str(TOO_LARGE),
    "9" * 30,
    "1" * 250,
    "2e5",
    "[1]",
    "tasks.workitem:" + "9" * 30,
    ":",
)
FILTERS = {
    "audit": ("who", "action", "object", "integration", "source", "from", "before", "after"),
    "deliveries": (
        "object", "integration", "tenant", "event_type", "status", "response_status", "since", "before", "after",
    ),
    "events": ("type", "object", "key", "before", "after"),
    "inbound": ("state", "key", "integration", "before", "after"),
    "integrations": ("q", "health", "page", "sort"),
    "job-new": ("kind", "model", "integration", "object", "tenant"),
    "keys": ("tenant",),
    "people": ("tenant",),
    "pulls": ("state", "before"),
    "pushes": ("state", "order", "before"),
    "secrets": ("after",),
}  # fmt: skip


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def event() -> IntegrationEvent:
    """An event of a work item of Acme's, owed to its integration."""
    acme = make_tenant()
    make_integration(acme)
    make_item(acme)
    return IntegrationEvent.objects.get()


def refused(clients: list[Client], address: str, data: dict[str, str] | None = None) -> list[str]:
    """Return what an address answers that is neither a page nor an ordinary refusal."""
    found = []
    for client in clients:
        answer: Any = client.get(address, data or {})
        if answer.status_code not in (200, 302, 400, 403, 404, 405):
            found.append(f"{address} {data}: {answer.status_code}")
    return found


def test_a_number_that_no_row_has_is_not_found(event: IntegrationEvent) -> None:
    clients = [operator_of_all(), person("manager", event.tenant)]
    for client in clients:
        client.raise_request_exception = False
    wrong, opened = [], 0
    for pattern in urlpatterns:
        names = pattern.pattern.converters if isinstance(pattern, URLPattern) else {}
        kinds = {type(converter).__name__ for converter in names.values()}
        for number in NUMBERS if kinds & {"IntConverter", "PathConverter"} else ():
            given: dict[str, Any] = dict.fromkeys(names, number)
            if "act" in names:
                given["act"] = "retry"
            address = reverse(f"console:{pattern.name}", kwargs=given)
            wrong += refused(clients, address)
            opened += 1
            for client in clients:
                answer: Any = client.post(address)
                if answer.status_code not in (302, 403, 404, 405):
                    wrong.append(f"POST {address}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
    assert opened > 50


def test_a_filter_of_any_shape_is_a_list(event: IntegrationEvent) -> None:
    clients = [operator_of_all(), person("manager", event.tenant)]
    for client in clients:
        client.raise_request_exception = False
    wrong = []
    for name, filters in FILTERS.items():
        for each in filters:
            for text in TEXTS:
                wrong += refused(clients, reverse(f"console:{name}"), {each: text})
    assert not wrong, "\n".join(wrong)


def test_a_list_of_the_admin_takes_a_filter_of_any_shape(event: IntegrationEvent) -> None:
    root = operator_of_all()
    root.raise_request_exception = False
    wrong = []
    for model, model_admin in list(admin.site._registry.items()):
        if not isinstance(model_admin, NoNumberTooLarge):  # another's
            continue
        listed = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        names = {str(getattr(each, "parameter_name", each)) for each in model_admin.list_filter}
        for text in (str(TOO_LARGE), "9" * 30, "²", "abc"):
            for name in sorted(names | {"q", "tenant__id__exact", "id__exact", "pk__in"}):
                wrong += refused([root], reverse(f"{listed}_changelist"), {name: text})
            for page in ("change", "delete", "history"):
                wrong += refused([root], reverse(f"{listed}_{page}", args=[text]))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("key", ["9" * 30, str(TOO_LARGE), "-1", "abc", "1.5", "²", "[1]"])
def test_an_object_whose_key_no_row_has_is_named_by_it(event: IntegrationEvent, key: str) -> None:
    IntegrationEvent.objects.filter(pk=event.pk).update(object_id=key)
    root = operator_of_all()
    sync = IntegrationSync.objects.get()
    for address in (
        reverse("console:events"),
        reverse("console:event", args=[event.pk]),
        reverse("console:deliveries"),
        reverse("console:delivery", args=[sync.pk]),
        reverse("console:object", args=[event.content_type_id, key]),
        reverse("admin:integrations_integrationsync_changelist"),
        reverse("admin:integrations_integrationsync_change", args=[sync.pk]),
    ):
        answer = root.get(address, follow=True)
        assert answer.status_code == 200 and key in answer.content.decode(), address


@pytest.mark.parametrize(
    "value",
    [TOO_LARGE, -TOO_LARGE - 1, 10**30, 1.5, 1e400, True, "", "²", "abc", "9" * 30, "a\0b", "\ud800", [1], {"id": 1}],
)
def test_a_change_to_what_can_be_no_row_is_told(event: IntegrationEvent, value: Any) -> None:
    jane = Customer.objects.create(pk=1, tenant=event.tenant, name="Jane")
    event.body = json.dumps(
        {"changes": {"customer": {"old": jane.pk, "new": value}, "priority": {"old": 1, "new": value}}}
    )
    told = changes_of(event)
    assert told[0][:2] == ("customer", "Jane")
    assert str(told[0][2]).startswith("customer ") and str(told[0][2]).endswith(", which is gone")
    assert told[1] == ("priority", 1, value)


def test_a_change_finds_its_row_by_a_key_that_is_written_as_text(event: IntegrationEvent) -> None:
    jane = Customer.objects.create(tenant=event.tenant, name="Jane")
    event.body = json.dumps({"changes": {"customer": {"old": None, "new": str(jane.pk)}}})
    assert changes_of(event) == [("customer", None, "Jane")]


def test_an_actor_whose_account_no_row_has_is_named_as_it_was(event: IntegrationEvent) -> None:
    User.objects.create_user("jane")
    IntegrationEvent.objects.filter(pk=event.pk).update(actor="jane", actor_key="9" * 30)
    text = operator_of_all().get(reverse("console:event", args=[event.pk])).content.decode()
    assert "jane, whose account is gone" in text


def test_nobody_needs_a_row_to_be_refused() -> None:
    stranger = client_of(User.objects.create_user("stranger"))
    assert stranger.get(reverse("console:delivery", args=[TOO_LARGE])).status_code in (403, 404)


def test_an_event_of_a_kind_that_never_was_has_its_page(event: IntegrationEvent) -> None:
    client = operator_of_all()
    client.raise_request_exception = False
    IntegrationEvent.objects.update(content_type_id=999_999)
    sync = IntegrationSync.objects.get()
    for name, pk in (("delivery", sync.pk), ("event", event.pk)):
        answer: Any = client.get(reverse(f"console:{name}", args=[pk]))
        assert answer.status_code == 200, name
