"""Whoever has no role needs the permission of the connector's family for all that is done with an integration.

In the API and in the console: what is sent again goes over a connector as well.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from integrations.api_keys.keys import scopes_for
from integrations.connectors.registry import ConnectorRegistry
from integrations.jobs.models import Job
from integrations.models import IntegrationSync, TenantIntegration
from integrations.pull import handlers
from integrations.tests.api_world import OPERATIONS, Operation, World, call, person
from integrations.tests.factories import make_integration, make_item

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

FAMILY = "use_webhook_connectors"
ALL_BUT_FAMILIES = [
    f"integrations.{action}_{model}"
    for model in ("tenantintegration", "integrationsync", "syncstate")
    for action in ("view", "add", "change", "delete")
]
WITH_ONE = [
    operation
    for operation in OPERATIONS
    if operation.method != "get"
    and not operation.path.startswith(("/workitems", "/jobs"))
    and not operation.path.endswith(("/try", "/push", "/test", "/check"))
]


@pytest.fixture(autouse=True)
def _http(settings: Any, broker: Any) -> Any:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def world() -> Any:
    there = World("acme")
    family, resource = there.integration.provider_family, there.pull.resource_type
    handlers.handles(family, resource)(lambda items, connection: None)
    yield there
    handlers.forget(family, resource)


@pytest.fixture
def client(world: World) -> Client:
    return person(world.tenant, "", *ALL_BUT_FAMILIES)


def allow(client: Client, codename: str) -> None:
    user = User.objects.get(pk=client.session["_auth_user_id"])
    user.user_permissions.add(Permission.objects.get(codename=codename))


def replay_of(world: World) -> dict[str, Any]:
    return {"kind": "replay", "filter": {"integration": str(world.integration.public_id)}}


def backfill_of(world: World) -> dict[str, Any]:
    return {"kind": "backfill", "integration": str(world.integration.public_id), "model": "tasks.workitem"}


@pytest.mark.parametrize("operation", WITH_ONE, ids=str)
def test_every_write_about_an_integration_asks_for_its_family(
    operation: Operation, world: World, client: Client
) -> None:
    world.prepare(operation)
    refused = call(operation.method, world.path(operation.path), operation.body, client=client)
    assert (refused.status_code, "family webhook" in refused.json()["detail"]) == (403, True), refused.content
    allow(client, FAMILY)
    done = call(operation.method, world.path(operation.path), operation.body, client=client)
    assert done.status_code == operation.expected, done.content


def test_jobs_of_the_api_ask_for_each_family_over_which_they_send(world: World, client: Client) -> None:
    one = ((replay_of(world), "family webhook"), (backfill_of(world), "family webhook"))
    every = ({"kind": "replay", "filter": {"status": "failed"}}, "families erp, webhook")
    for body, words in (*one, every):
        for path in ("/jobs", "/jobs/preview"):
            refused = call("post", path, body, client=client)
            assert (refused.status_code, words in refused.json()["detail"]) == (403, True), refused.content
    allow(client, FAMILY)
    for body, _ in one:
        assert call("post", "/jobs/preview", body, client=client).status_code == 200
        assert call("post", "/jobs", body, client=client).status_code == 201
    refused = call("post", "/jobs", every[0], client=client)
    assert (refused.status_code, "family erp" in refused.json()["detail"]) == (403, True)
    allow(client, "use_erp_connectors")
    assert call("post", "/jobs", every[0], client=client).status_code == 201


def test_a_job_goes_on_only_by_whoever_may_use_its_family_and_is_stopped_by_others(
    world: World, client: Client
) -> None:
    row = Job.objects.filter(pk=world.job.pk)
    for integration, families in ((world.integration.pk, [FAMILY]), (None, ["use_erp_connectors"])):
        row.update(state="running", integration=integration)
        assert call("post", world.path("/jobs/{pk}/pause"), client=client).json()["state"] == "paused"
        assert call("post", world.path("/jobs/{pk}/resume"), client=client).status_code == 403
        page = reverse("console:job", args=[world.job.pk])
        act = reverse("console:job-resume", args=[world.job.pk])
        assert act not in client.get(page).content.decode()
        assert client.post(act).status_code == 403 and row.get().state == "paused"
        for family in families:
            allow(client, family)
        assert act in client.get(page).content.decode()
        assert client.post(act).status_code == 302 and row.get().state == "waiting"
        row.update(state="paused")
        assert call("post", world.path("/jobs/{pk}/resume"), client=client).json()["state"] == "waiting"
    assert call("post", world.path("/jobs/{pk}/cancel"), client=client).json()["state"] == "cancelled"


def test_the_consoles_buttons_ask_for_the_family(world: World, client: Client) -> None:
    IntegrationSync.objects.filter(pk=world.sync.pk).update(status="failed")
    type(world.inbound).objects.filter(pk=world.inbound.pk).update(status="failed")
    TenantIntegration.unannounced.filter(pk=world.integration.pk).update(is_connected=True, is_enabled=True)
    buttons = [
        ("delivery", world.sync.pk, reverse("console:delivery-act", args=[world.sync.pk, "retry"])),
        ("inbound-event", world.inbound.pk, reverse("console:inbound-again", args=[world.inbound.pk])),
        ("pull", world.pull.pk, reverse("console:pull-now", args=[world.pull.pk])),
    ]
    for page, pk, button in buttons:
        assert button not in client.get(reverse(f"console:{page}", args=[pk])).content.decode()
        assert client.post(button).status_code == 403, button
    assert IntegrationSync.objects.get(pk=world.sync.pk).status == "failed"
    allow(client, FAMILY)
    for page, pk, button in buttons:
        assert button in client.get(reverse(f"console:{page}", args=[pk])).content.decode()
        assert client.post(button).status_code == 302, button
    assert IntegrationSync.objects.get(pk=world.sync.pk).status == "pending"


def test_of_ticked_deliveries_those_of_other_families_are_left_alone(world: World, client: Client) -> None:
    chat = make_integration(world.tenant, name="chat", integration_type="slack", events=("workitem_created",))
    make_item(world.tenant, reference_id="RMA-2")
    IntegrationSync.objects.update(status="failed")
    allow(client, FAMILY)
    ticked = {"act": "retry", "pk": list(IntegrationSync.objects.values_list("pk", flat=True))}
    answer = client.post(reverse("console:deliveries-act"), ticked, follow=True)
    assert "1 left alone: you may not use connectors of their type." in answer.content.decode()
    states = dict(IntegrationSync.objects.values_list("integration__name", "status"))
    assert states == {"hook of acme": "pending", chat.name: "failed"}


def test_the_consoles_jobs_ask_for_each_family(world: World, client: Client) -> None:
    address, hook = reverse("console:job-new"), str(world.integration.public_id)
    replay = {"kind": "replay", "integration": hook, "pace": "5"}
    backfill = {"kind": "backfill", "integration": hook, "model": "tasks.workitem", "pace": "5"}
    every = {**replay, "integration": ""}
    for body in (replay, backfill, every):
        assert client.post(address, body).status_code == 400, body
        page = client.get(address, {**body, "show": "1"}).content.decode()
        assert ("All of them takes connectors" if body is every else "There is no such integration.") in page
    allow(client, FAMILY)
    for body in (replay, backfill):
        assert client.post(address, body).status_code == 302, body
    refused = client.post(address, every)
    assert refused.status_code == 400
    assert "All of them takes connectors that you may not use: Mock ERP" in refused.content.decode()
    allow(client, "use_any_connector")
    assert client.post(address, every).status_code == 302


def test_nobody_gives_a_key_with_which_more_is_done_than_they_may(world: World, client: Client) -> None:
    user = User.objects.get(pk=client.session["_auth_user_id"])
    allow(client, FAMILY)
    assert [scope.name for scope in scopes_for(user, world.tenant.pk)] == ["read"]
    allow(client, "use_any_connector")
    user = User.objects.get(pk=user.pk)
    assert [scope.name for scope in scopes_for(user, world.tenant.pk)] == [
        "read",
        "deliveries:write",
        "integrations:write",
    ]


def test_what_nobody_can_send_any_more_is_still_switched_off_and_deleted(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connector is not installed any more, so it has no family to ask for."""
    known = {key: kind for key, kind in ConnectorRegistry._connectors.items() if key != "webhook"}
    monkeypatch.setattr(ConnectorRegistry, "_connectors", known)
    for method, path in (
        ("post", "/deliveries/{pk}/cancel"),
        ("post", "/integrations/{public_id}/pause"),
        ("delete", "/integrations/{public_id}/subscriptions/{event_type}"),
    ):
        assert call(method, world.path(path), client=client).status_code in (200, 204), path
    assert call("delete", world.path("/integrations/{public_id}"), client=client).status_code == 202
