"""Who did what: the same entry whoever changes something, by form, API, shell or task, and never a secret in it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, RequestFactory
from django.utils import timezone

from integrations import acting as acting_module
from integrations.acting import acting, acting_as, actor_of, address_of
from integrations.audit.retention import purge_trail
from integrations.audit.trail import record
from integrations.connections.signing_keys import reveal_signing_secret, rotate_signing_secret
from integrations.delivery import operator_actions
from integrations.models import AuditEntry, EventSubscription, IntegrationSync, OpenAIConfiguration, TenantIntegration
from integrations.services.connection import ConnectionService
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.integration.admin_world import superuser, url
from tenants.models import Membership

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]
SECRET_URL = "https://hooks.example.com/services/T0/canary-9f3"


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def entries(**filters: Any) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(**filters).order_by("id"))


def told(integration: TenantIntegration) -> list[tuple[str, dict[str, Any]]]:
    found = entries(integration_key=integration.pk)
    return [(entry.action, entry.changes) for entry in found]


@pytest.fixture
def integration() -> TenantIntegration:
    """One whose making is told already."""
    found = make_integration(make_tenant(), SECRET_URL)
    AuditEntry.objects.all().delete()
    return TenantIntegration.objects.get(pk=found.pk)


def test_making_one_is_one_entry_with_its_events() -> None:
    with transaction.atomic():
        integration = make_integration(make_tenant(), SECRET_URL, events=("workitem_created",), name="Ops")
    (entry,) = entries()
    assert (entry.action, entry.object_name, entry.tenant_name) == ("created", "Ops", "Acme Corp")
    assert (entry.tenant_key, entry.object_key) == (str(integration.tenant_id), str(integration.pk))
    assert entry.changes["subscription workitem_created"] == [None, ""]
    assert entry.changes["name"] == [None, "Ops"] and entry.changes["webhook_url"] == "changed"
    assert entry.changes["webhook_url (host)"] == ["", "https://hooks.example.com/•••"]
    assert "canary" not in json.dumps(entry.changes)


def test_old_and_new_and_of_secrets_only_that(integration: TenantIntegration) -> None:
    integration.max_attempts = 5
    integration.headers = {"X-Api-Key": "canary-a1b2"}
    integration.webhook_url = "https://other.example.com/canary"
    integration.save()
    ((action, changes),) = told(integration)
    assert action == "changed" and "canary" not in json.dumps(changes)
    assert changes == {
        "max_attempts": [None, 5],
        "headers.X-Api-Key": "changed",
        "webhook_url": "changed",
        "webhook_url (host)": ["https://hooks.example.com/•••", "https://other.example.com/•••"],
    }


def test_nothing_is_told_where_nothing_changed(integration: TenantIntegration) -> None:
    integration.headers = {**integration.headers}
    integration.webhook_url = SECRET_URL  # sealed anew, and the same
    integration.save()
    assert told(integration) == []


def test_what_was_there_is_read_from_the_row(integration: TenantIntegration) -> None:
    """Two people have the same form open: the second one's entry does not tell of the first one's change again."""
    stale = TenantIntegration.objects.get(pk=integration.pk)
    integration.name = "First"
    integration.save(update_fields=["name"])
    stale.name = "Second"
    stale.save(update_fields=["name"])
    changes = AuditEntry.objects.order_by("-id")[0].changes["name"]
    assert changes == ["Production n8n Workflow", "Second"]  # one transaction here: one entry from first to last


def test_what_was_set_and_not_saved_is_not_told(integration: TenantIntegration) -> None:
    """``save(update_fields=[…])`` writes these columns alone, whatever else the row in memory has."""
    integration.name, integration.max_attempts = "Never saved", 5
    integration.save(update_fields=["max_attempts"])
    with acting_as("alice"):
        subscription = integration.subscriptions.get(event_type="workitem_deleted")
        subscription.event_type, subscription.condition, subscription.payload = "workitem_created", "event_type", "@"
        subscription.payload_version = 7
        subscription.save(update_fields=["payload"])
    (attempts, payload) = entries(integration_key=integration.pk)
    assert (attempts.object_name, attempts.changes) == ("Production n8n Workflow", {"max_attempts": [None, 5]})
    assert payload.changes == {"payload of workitem_deleted": ["", "@"]}

    user, other = (User.objects.create_user(name) for name in ("ann", "bob"))
    membership = Membership.objects.create(tenant=integration.tenant, user=user, role="viewer")
    AuditEntry.objects.all().delete()
    membership.user, membership.role = other, "manager"
    membership.save(update_fields=["user"])
    membership = Membership.objects.get()
    membership.user, membership.role = user, "manager"
    membership.save(update_fields=["role"])
    user.username, user.is_staff, user.is_superuser = "never-saved", True, True
    user.save(update_fields=["is_staff"])
    assert [(entry.action, entry.object_name, entry.changes) for entry in entries()] == [
        ("removed", "ann (ann)", {"role": ["viewer", None]}),
        ("added", "bob (bob)", {"role": [None, "viewer"]}),
        ("changed role", "bob (bob)", {"role": ["viewer", "manager"]}),
        ("changed", "ann (ann)", {"is_staff": [False, True]}),
    ]


def test_switches_and_subscriptions(integration: TenantIntegration) -> None:
    integration.is_active = False
    integration.save(update_fields=["is_active"])
    with acting_as("alice"):
        integration.subscribe("workitem_created", conditions={"workitem_created": "workitem.priority == 'Urgent'"})
    off, subscribed = told(integration)
    assert off == ("switched off", {"is_active": [True, False]})
    assert subscribed[1]["subscription workitem_created"] == ["", "workitem.priority == 'Urgent'"]
    assert subscribed[1]["subscription workitem_deleted"] == ["", None]
    assert EventSubscription.objects.count() == 1


def test_secrets_rotated_and_shown(integration: TenantIntegration) -> None:
    secret = rotate_signing_secret(integration, is_seen=False)
    reveal_signing_secret(integration)
    with acting_as("alice"):
        ConnectionService.rotate_credentials(integration, {"headers": {"X-Key": "canary-77"}}, actor="bob")
    found = told(integration)
    assert [action for action, _ in found] == ["rotated", "secret shown", "rotated"]
    assert found[0][1] == found[1][1] == {"credentials.signing_keys": "changed"}
    assert found[2][1] == {"headers.X-Key": "changed"}
    assert entries()[-1].actor == "bob"
    assert secret not in json.dumps(found) and "canary" not in json.dumps(found)


def test_configuration_of_the_installation() -> None:
    row = OpenAIConfiguration(enabled=True)
    row.apply_settings({"api_key": "sk-canary", "model": "small"})
    row.save()
    row.apply_settings({"api_key": "sk-canary-2", "model": "large"})
    row.save()
    (entry,) = entries()  # one transaction of one actor
    assert entry.action == "created" and entry.tenant_key == "" and "canary" not in json.dumps(entry.changes)
    assert entry.changes["config.model"] == [None, "large"] and entry.changes["credentials.api_key"] == "changed"
    row.delete()
    assert [each.action for each in entries()] == ["created", "deleted"]


# -- who, from where ------------------------------------------------------------------------------------------------


def test_form_and_api_name_user_source_and_address(integration: TenantIntegration) -> None:
    client = superuser()
    resume = f"/console/integrations/{integration.public_id}/do/resume/"
    client.post(resume, REMOTE_ADDR="198.51.100.7")
    address = f"/api/connections/{integration.public_id}"
    body = json.dumps({"name": "By the API"})
    answer = client.patch(address, body, content_type="application/json", REMOTE_ADDR="2001:db8::1")
    assert answer.status_code == 200, answer.content
    root = User.objects.get(username="root")
    by_page, by_api = entries()
    assert (by_page.action, by_page.source, by_page.address) == ("resumed", "console", "198.51.100.7")
    assert (by_api.action, by_api.source, by_api.address) == ("changed", "api", "2001:db8::1")
    assert by_api.path == address and by_api.changes == {"name": ["Production n8n Workflow", "By the API"]}
    assert {(each.actor, each.actor_key) for each in (by_page, by_api)} == {("root", str(root.pk))}


def test_a_user_who_is_gone_keeps_name_and_key(integration: TenantIntegration) -> None:
    user = User.objects.create_user("carol")
    with acting_as(user):
        operator_actions.resume(integration, actor="carol")
    key = str(user.pk)
    user.delete()
    assert [(each.actor, each.actor_key) for each in entries(action="resumed")] == [("carol", key)]
    assert [each.object_name for each in entries(action="deleted")] == ["carol"]


def test_a_command_and_a_shell_name_who_is_logged_in(
    integration: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["./manage.py", "shell", "-c", "token='canary'"])
    monkeypatch.setattr(acting_module, "_login", lambda: "deploy")
    acting_module._of_command.cache_clear()
    integration.is_active = False
    integration.save()
    (entry,) = entries()
    assert (entry.actor, entry.source, entry.path) == ("deploy", "command", "manage.py shell")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "10.0.0.1"),  # nobody may say where he comes from
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        (2, "", "10.0.0.1"),
        (1, "nonsense", None),
    ],
)
def test_the_address_behind_proxies(settings: Any, proxies: int, forwarded: str, expected: str | None) -> None:
    settings.INTEGRATIONS = {"PROXIES": proxies}
    assert address_of({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded}) == expected


def test_a_token_in_a_path_is_not_kept() -> None:
    request = RequestFactory().get("/accounts/reset/MQ/c7a1b2-canarycanarycanarycanary/")
    assert actor_of(request).path == "/accounts/reset/MQ/…/"
    assert acting().name == "system"


# -- many at once, and how long -------------------------------------------------------------------------------------


def test_a_bulk_action_is_one_entry_for_each_tenant() -> None:
    mine, other = make_integration(make_tenant()), make_integration(make_tenant("Other"))
    for tenant, count in ((mine.tenant, 3), (other.tenant, 1)):
        for _ in range(count):
            make_item(tenant)
    AuditEntry.objects.all().delete()
    pks = list(IntegrationSync.objects.values_list("pk", flat=True))
    assert operator_actions.cancel(pks, actor="alice") == 4
    one, another = entries()
    assert (one.action, one.tenant_name, one.integration_key) == ("cancelled", "Acme Corp", mine.pk)
    assert (one.details["deliveries"], one.details["last"] - one.details["first"]) == (3, 2)
    assert (another.tenant_name, another.object_type) == ("Other", "integrations.integrationsync")
    assert another.object_name == f"workitem_created to {other.name}"


def test_what_is_rolled_back_is_not_told(integration: TenantIntegration) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        operator_actions.resume(integration, actor="alice")
        raise RuntimeError
    assert entries() == []


def test_a_change_after_a_rollback_is_an_entry_of_its_own(integration: TenantIntegration) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        integration.name = "Undone"
        integration.save()
        raise RuntimeError
    integration.name = "Done"
    integration.save()
    assert [each.changes["name"][1] for each in entries()] == ["Done"]


def test_the_trail_is_kept_longer_than_the_log(integration: TenantIntegration, settings: Any) -> None:
    record("resumed", integration)
    AuditEntry.objects.update(created_at=timezone.now() - timedelta(days=399))
    assert purge_trail() == 0
    settings.INTEGRATIONS = {"AUDIT_RETENTION_DAYS": 30}
    assert purge_trail() == 1 and entries() == []


def test_texts_are_cut_and_harmless(integration: TenantIntegration) -> None:
    record("changed", integration, changes={"name": ["x" * 2000, "a\u202eb"]}, details={"filter": ["y" * 900]})
    entry = AuditEntry.objects.get()
    assert len(entry.changes["name"][0]) == 500 and entry.changes["name"][1] == "a\\u202eb"
    assert len(entry.details["filter"][0]) == 500


def test_what_json_or_the_database_refuses_is_kept_as_text(integration: TenantIntegration) -> None:
    """Else the save that is told of would fail."""
    values = [float("nan"), {"a\0b": float("-inf"), "c": 1.5}]
    record("changed", integration, changes={"x\0y": values}, details={"rate": float("inf")})
    (entry,) = entries()
    assert entry.changes == {"x\\x00y": ["nan", {"a\\x00b": "-inf", "c": 1.5}]}
    assert entry.details == {"rate": "inf"}


def test_deleting_with_its_tenant_names_who_wanted_it(integration: TenantIntegration) -> None:
    with acting_as("alice", source="command"):
        integration.tenant.delete()
    assert [(each.action, each.object_name, each.actor) for each in entries()] == [
        ("deleted", "Production n8n Workflow", "alice"),
        ("deleted", "Acme Corp", "alice"),
    ]


def test_a_page_that_only_looks_writes_nothing(integration: TenantIntegration) -> None:
    client: Client = superuser()
    client.get(url("tenantintegration", "change", integration.pk))
    assert entries() == []
