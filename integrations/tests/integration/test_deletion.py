"""Deleting integrations and tenants, purging, bulk actions: in batches, resumable, and never what was replayed."""

from __future__ import annotations

import re
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection, connections, transaction
from django.db.models import signals
from django.utils import timezone

from integrations.audit.retention import purge_log
from integrations.delivery import operator_actions, unsendable
from integrations.delivery.deletion import delete_marked
from integrations.delivery.drain import drain
from integrations.delivery.manual import record_manual
from integrations.errors import IntegrationNotConfigured
from integrations.inbound.retention import purge_received
from integrations.models import (
    EventSubscription,
    ExecutionLog,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
    WebhookEvent,
)
from integrations.outbox.retention import purge
from integrations.services.lookup import get_connector
from integrations.tenancy import deletion as batched
from integrations.tenancy.deletion import begin
from integrations.tests import many_rows
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.integration.admin_world import Side, make_side, page, superuser, url
from integrations.tests.services import wait_until
from tasks.models import Customer, Note, WorkItem
from tenants.models import Membership, Tenant
from tenants.scope import find_tenant, tenants_of

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]
row_locks = pytest.mark.skipif(connection.vendor != "postgresql", reason="needs row locks: DATABASE_URL=postgres://…")
MANY = 70_000
MOST_MEMORY = 100 * 2**20


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def pages_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched, "PAGE", 2)
    monkeypatch.setattr(batched, "LEAF_PAGE", 2)


def history(count: int = 5, **options: Any) -> TenantIntegration:
    integration = make_integration(make_tenant(f"tenant {timezone.now().timestamp()}"))
    many_rows.make_history(integration, count, **options)
    return integration


def left_of(integration: TenantIntegration) -> dict[str, int]:
    pk = integration.pk
    return {
        "integrations": TenantIntegration.objects.filter(pk=pk).count(),
        "lanes": Lane.objects.filter(pk=pk).count(),
        "subscriptions": EventSubscription.objects.filter(integration_id=pk).count(),
        "syncs": IntegrationSync.objects.filter(integration_id=pk).count(),
        "webhooks": WebhookEvent.objects.filter(connection_id=pk).count(),
    }


NOTHING = dict.fromkeys(("integrations", "lanes", "subscriptions", "syncs", "webhooks"), 0)


# -- delete() in Python ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pages_of_two")
def test_delete_returns_when_all_of_it_is_gone_and_says_what_went() -> None:
    gone, kept = history(), history(3)
    many_rows.make_received(gone, 3, days=0)
    pk = gone.pk
    total, counts = gone.delete()
    assert gone.pk is None
    gone.pk = pk
    assert left_of(gone) == NOTHING and left_of(kept)["syncs"] == 3
    assert counts["integrations.TenantIntegration"] == counts["integrations.Lane"] == 1
    assert counts["integrations.IntegrationSync"] == 5
    assert counts["integrations.WebhookEvent"] == 3 and total == sum(counts.values())
    assert IntegrationEvent.objects.count() == 8, "events are kept until they are old: others may have been told too"


@pytest.mark.usefixtures("pages_of_two")
def test_a_queryset_deletes_each_in_batches() -> None:
    some = [history(3) for _ in range(3)]
    _, counts = TenantIntegration.objects.exclude(pk=some[0].pk).delete()
    assert counts["integrations.TenantIntegration"] == 2 and counts["integrations.IntegrationSync"] == 6
    assert TenantIntegration.objects.get() == some[0]
    with pytest.raises(TypeError, match="limit"):
        TenantIntegration.objects.all()[:1].delete()
    assert Tenant.objects.all().delete()[1]["tenants.Tenant"] == 3
    assert not IntegrationEvent.objects.exists() and ExecutionLog.objects.exists()


@pytest.mark.usefixtures("pages_of_two")
def test_a_tenant_goes_with_all_it_has_and_nobody_is_told() -> None:
    side = make_side("Acme")
    many_rows.make_history(side.integration, 5)
    many_rows.make_items(side.tenant.pk, 5)
    side.integration.subscribe("workitem_deleted", "workitem_updated")
    heard: list[Any] = []

    def hear(instance: Any, origin: Any, **_: Any) -> None:
        heard.append((instance.pk, origin))

    signals.post_delete.connect(hear, sender=WorkItem)
    try:
        events = IntegrationEvent.objects.count()
        _, counts = side.tenant.delete()
    finally:
        signals.post_delete.disconnect(hear, sender=WorkItem)
    assert counts["tasks.WorkItem"] == len(heard) == 6 and counts["tasks.Note"] == 6
    assert all(origin is side.tenant for _, origin in heard)
    assert counts["integrations.IntegrationEvent"] == events
    for model in (Tenant, Membership, Customer, WorkItem, Note, TenantIntegration, IntegrationEvent, IntegrationSync):
        assert not model._base_manager.exists(), model


@pytest.mark.usefixtures("pages_of_two")
def test_inside_a_transaction_the_batches_are_part_of_it() -> None:
    integration = history()
    pk = integration.pk
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        integration.delete()
        assert not TenantIntegration.objects.exists()
        raise ZeroDivisionError
    integration = TenantIntegration.objects.get(pk=pk)
    assert integration.is_active and integration.lane.deleting_since is None
    assert left_of(integration)["syncs"] == 5


def test_one_that_is_not_saved_cannot_be_deleted() -> None:
    with pytest.raises(ValueError, match="no primary key"):
        TenantIntegration(tenant=make_tenant(), name="new").delete()


# -- marked, and deleted by a task -------------------------------------------------------------------------


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


def test_the_delete_page_marks_and_a_task_deletes(acme: Side) -> None:
    many_rows.make_history(acme.integration, 30)
    address = url("tenantintegration", "delete", acme.integration.pk)
    response = acme.client.post(address, {"post": "yes"})
    assert response.status_code == 302
    assert next(str(message) for message in get_messages(response.wsgi_request)).startswith("It is being deleted")
    assert left_of(acme.integration)["syncs"] == 31, "the request only marks"
    html = page(acme.client, url("tenantintegration"))
    assert (
        "– Being deleted" in html
        and "It is being deleted: waits for a worker." in html
        and "deleted successfully" not in html
    )
    shown = page(acme.client, url("tenantintegration", "change", acme.integration.pk))
    assert "being deleted" in shown and 'name="_save"' not in shown
    for name in ("enable", "resume", "test"):
        workbench = f"/console/integrations/{acme.integration.public_id}/"
        assert acme.client.post(f"{workbench}do/{name}/").status_code == 403
    assert delete_marked() == {"rows": 33, "done": 1, "left": 0}  # its lane, 31 syncs, itself
    assert left_of(acme.integration) == NOTHING
    assert delete_marked() == {"rows": 0, "done": 0, "left": 0}


def test_the_delete_action_marks_too(acme: Side) -> None:
    others = [make_integration(acme.tenant, name=f"hook {n}") for n in range(2)]
    data = {"action": "delete_selected", "_selected_action": [row.pk for row in others], "post": "yes"}
    response = acme.client.post(url("tenantintegration"), data, follow=True)
    assert "2 tenant integrations are being deleted" in response.content.decode()
    assert Lane.objects.exclude(deleting_since=None).count() == 2
    assert delete_marked()["done"] == 2 and TenantIntegration.objects.get() == acme.integration


def test_a_tenant_that_is_marked_is_gone_for_its_people_at_once(acme: Side) -> None:
    client = superuser()
    assert client.post(url("tenant", "delete", acme.tenant.pk), {"post": "yes"}).status_code == 302
    assert not tenants_of(acme.user).exists() and find_tenant(acme.tenant.pk) is None
    assert find_tenant(acme.tenant.slug) is None
    acme.integration.refresh_from_db()
    assert not acme.integration.is_active and acme.integration.lane.deleting_since is not None
    assert "being deleted: waits for a worker" in page(client, url("tenant"))
    assert client.post(url("tenant", "delete", acme.tenant.pk), {"post": "yes"}).status_code == 403
    make_item(acme.tenant)
    assert acme.sync.event == IntegrationEvent.objects.get(), "nothing new is recorded"
    assert delete_marked()["done"] == 1
    assert not Tenant.objects.exists() and not WorkItem.objects.exists()


@pytest.mark.usefixtures("pages_of_two")
def test_a_deletion_that_ends_early_says_how_far_it_is_and_goes_on_later(acme: Side) -> None:
    many_rows.make_history(acme.integration, 1200, logs=False)
    begin(TenantIntegration, [acme.integration.pk], using="default", in_background=True)
    begin(Tenant, [make_tenant("Other").pk], using="default", in_background=True)
    assert delete_marked(0.0) == {"rows": 0, "done": 0, "left": 2}
    rest = delete_marked(0.2)  # each has its turn, however short
    assert rest["left"] >= 1
    words = Lane.objects.get(pk=acme.integration.pk).attention
    assert re.fullmatch(r"being deleted: [\d,]+ rows left", words)
    assert f"It is {words}." in page(acme.client, url("tenantintegration"))
    while delete_marked(60.0)["left"]:
        pass
    assert left_of(acme.integration) == NOTHING and Tenant.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_deleted_does_not_keep_the_others(acme: Side, caplog: Any) -> None:
    stuck, fine = history(), history()

    def refuse(instance: Any, **_: Any) -> None:
        if instance.pk == stuck.pk:
            raise ValueError("the host says no")

    begin(TenantIntegration, [stuck.pk, fine.pk], using="default", in_background=True)
    signals.pre_delete.connect(refuse, sender=TenantIntegration)
    try:
        assert delete_marked()["done"] == 1
    finally:
        signals.pre_delete.disconnect(refuse, sender=TenantIntegration)
    assert left_of(fine) == NOTHING and left_of(stuck)["integrations"] == 1
    assert "could not be deleted further: ValueError" in caplog.text
    assert delete_marked()["done"] == 1 and left_of(stuck) == NOTHING


def test_one_that_is_marked_is_left_alone_by_everybody(acme: Side) -> None:
    integration = acme.integration
    begin(TenantIntegration, [integration.pk], using="default", in_background=True)
    integration.refresh_from_db()
    acme.item.comments = "changed"
    acme.item.save()
    assert record_manual(integration.pk, 1, 1, "x", {}, None) is False
    assert statuses() == ["pending"], "nothing new"
    drain(integration.pk)
    assert unsendable.cancel_pending(integration, "the integration is switched off") == 0
    for action in (operator_actions.retry, operator_actions.cancel):
        assert action([acme.sync.pk], actor="bob") == 0
    assert statuses() == ["pending"] and not Note.objects.exists()
    with pytest.raises(IntegrationNotConfigured, match="has no"):
        get_connector("webhook", acme.tenant)
    # An instance that was loaded before, or a careless script: still nothing is recorded.
    TenantIntegration.unannounced.filter(pk=integration.pk).update(is_active=True)
    acme.item.comments = "changed again"
    acme.item.save()
    assert statuses() == ["pending"]
    assert delete_marked()["done"] == 1 and left_of(integration) == NOTHING


def test_a_marked_one_makes_room_for_its_successor(acme: Side) -> None:
    TenantIntegration.unannounced.filter(pk=acme.integration.pk).update(exclusive_group="erp")
    begin(TenantIntegration, [acme.integration.pk], using="default")
    second = make_integration(acme.tenant, name="second")
    TenantIntegration.unannounced.filter(pk=second.pk).update(exclusive_group="erp")


def test_rows_that_come_while_it_is_deleted_go_too(acme: Side) -> None:
    """A save that had read the subscriptions before, and commits between two batches."""

    def late(sender: Any, **_: Any) -> None:
        if IntegrationSync.objects.count() == 0:
            many_rows.make_history(acme.integration, 1, status="pending")

    batched.batch_begins.connect(late, sender=TenantIntegration)
    try:
        acme.integration.delete()
    finally:
        batched.batch_begins.disconnect(late, sender=TenantIntegration)
    assert not IntegrationSync.objects.exists()


# -- people's actions ---------------------------------------------------------------------------------------


def test_a_retry_and_a_resume_are_counted() -> None:
    integration = history(2, status="failed")
    pks = list(IntegrationSync.objects.values_list("pk", flat=True))
    IntegrationSync.objects.update(deaths=3, last_failed_at=timezone.now(), first_failed_at=timezone.now())
    Lane.objects.update(refused_object="1:1")
    assert operator_actions.retry(iter(pks), actor="alice") == 2
    rows = IntegrationSync.objects.values_list("generation", "deaths", "last_failed_at", "first_failed_at")
    assert set(rows) == {(1, 0, None, None)}
    operator_actions.resume(integration, actor="alice")
    operator_actions.re_enable(integration, actor="alice")
    assert Lane.objects.values_list("epoch", "refused_object").get() == (2, "")


def test_bulk_actions_work_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_actions, "BATCH", 2)
    for _ in range(2):
        history(3, status="failed")
    pks = IntegrationSync.objects.values_list("pk", flat=True)
    assert operator_actions.retry(pks, actor="alice") == 6
    assert operator_actions.cancel(pks, actor="alice") == 6 and set(statuses()) == {"cancelled"}
    IntegrationSync.objects.update(status="synced")
    assert operator_actions.replay(pks, actor="alice") == 6 and set(statuses()) == {"pending"}
    assert ExecutionLog.objects.exclude(action="deliver").count() == 18


# -- retention ----------------------------------------------------------------------------------------------


def test_retention_goes_by_the_databases_clock(time_machine_ahead: None) -> None:
    integration = history(2, logs=False)
    many_rows.make_log(integration, 2, days=0)
    many_rows.make_received(integration, 2, days=0)
    IntegrationEvent.objects.update(occurred_at=now_of_the_database())
    ExecutionLog.objects.update(created_at=now_of_the_database())
    WebhookEvent.objects.update(received_at=now_of_the_database())
    assert purge() == {"events": 0, "syncs": 0} and purge_log() == purge_received() == 0


@pytest.fixture
def time_machine_ahead() -> Iterator[None]:
    import time_machine

    with time_machine.travel(timezone.now() + timedelta(days=60), tick=True):
        yield


def now_of_the_database() -> Any:
    from django.db.models.functions import Now

    return Now()


def test_an_event_that_many_were_told_of_is_purged_in_smaller_batches(settings: Any) -> None:
    settings.INTEGRATIONS = {"RETENTION_BATCH": 4}
    first = history(6, days=31, logs=False)
    for n in range(4):
        many_rows.add_syncs(make_integration(first.tenant, name=f"hook {n}"))
    assert purge() == {"events": 6, "syncs": 30}


# -- at once: two connections to PostgreSQL ------------------------------------------------------------------


@pytest.fixture
def beside() -> Iterator[Callable[[Callable[[], Any]], Future[Any]]]:
    """``beside(action)`` runs it on a connection of its own; the future has what it returned or raised."""

    def run(action: Callable[[], Any]) -> Any:
        try:
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        yield lambda action: pool.submit(run, action)


def waiting() -> int:
    """Return how many connections wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees what it saw first
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def somebody_waits_for_a_lock() -> bool:
    return waiting() > 0


@row_locks
@pytest.mark.django_db(transaction=True)
def test_a_purge_never_takes_a_row_that_is_replayed_since_it_looked(beside: Any) -> None:
    integration = history(3, days=31)
    other = make_integration(integration.tenant, name="told of the same")
    many_rows.add_syncs(other)
    replayed = IntegrationSync.objects.filter(integration=integration).order_by("id")[1]
    with transaction.atomic():
        assert operator_actions.replay([replayed.pk], actor="alice") == 1
        purged = beside(purge)
        wait_until(somebody_waits_for_a_lock)
    assert purged.result(30) == {"events": 2, "syncs": 4}
    left = IntegrationSync.objects.filter(event_id=replayed.event_id).order_by("id")
    assert [row.status for row in left] == ["pending", "synced"], "nor its event, nor what others were told of it"
    assert ExecutionLog.objects.filter(sync=replayed, action="deliver").exists()


@row_locks
@pytest.mark.django_db(transaction=True)
def test_a_purge_never_takes_a_webhook_that_is_processed_again_since_it_looked(beside: Any) -> None:
    integration = make_integration(make_tenant())
    many_rows.make_received(integration, 2, days=31)
    again = WebhookEvent.objects.order_by("pk")[0]
    with transaction.atomic():
        WebhookEvent.objects.filter(pk=again.pk).update(next_attempt_at=timezone.now())
        purged = beside(purge_received)
        wait_until(somebody_waits_for_a_lock)
    assert purged.result(30) == 1
    assert WebhookEvent.objects.get() == again


@row_locks
@pytest.mark.django_db(transaction=True)
def test_what_is_recorded_after_it_was_switched_on_again_is_not_cancelled(beside: Any) -> None:
    """A worker found it switched off; before it cancels, a person switches it on and something happens."""
    integration = history(2, status="pending", logs=False)
    TenantIntegration.unannounced.filter(pk=integration.pk).update(is_active=False)
    integration.refresh_from_db()
    with transaction.atomic():
        TenantIntegration.unannounced.filter(pk=integration.pk).update(is_active=True)
        make_item(integration.tenant)
        cancelled = beside(lambda: unsendable.cancel_pending(integration, "the integration is switched off"))
        wait_until(somebody_waits_for_a_lock)
    assert cancelled.result(30) == 0
    assert statuses() == ["pending"] * 3


@row_locks
@pytest.mark.django_db(transaction=True)
def test_each_batch_of_cancelling_reads_the_switch_again(beside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsendable, "BATCH", 1)
    integration = history(2, status="pending", logs=False)
    TenantIntegration.unannounced.filter(pk=integration.pk).update(is_active=False)
    integration.refresh_from_db()
    second = IntegrationSync.objects.order_by("id")[1]

    def switch_on() -> None:
        with transaction.atomic():
            TenantIntegration.unannounced.filter(pk=integration.pk).update(is_active=True)
            make_item(integration.tenant)

    with transaction.atomic():
        IntegrationSync.objects.select_for_update().get(pk=second.pk)  # the second batch waits here
        cancelled = beside(lambda: unsendable.cancel_pending(integration, "the integration is switched off"))
        wait_until(lambda: waiting() == 1)
        switched = beside(switch_on)
        wait_until(lambda: waiting() == 2)
    switched.result(30)
    assert cancelled.result(30) == 2
    assert statuses() == ["cancelled", "cancelled", "pending"]


@row_locks
@pytest.mark.django_db(transaction=True)
def test_two_who_delete_the_same_take_turns(beside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched, "PAGE", 3)
    integration = history(200)
    many_rows.make_items(integration.tenant_id, 100)
    begin(Tenant, [integration.tenant_id], using="default", in_background=True)
    start = threading.Barrier(2)

    def run() -> dict[str, int]:
        start.wait(10)
        return delete_marked()

    found = [each.result(60) for each in (beside(run), beside(run))]
    assert [each["left"] for each in found] == [0, 0]
    assert not Tenant.objects.exists() and not WorkItem.objects.exists() and not IntegrationEvent.objects.exists()


# -- seventy thousand ----------------------------------------------------------------------------------------


@contextmanager
def bounded_memory() -> Iterator[None]:
    before = _most_memory()
    yield
    assert _most_memory() - before < MOST_MEMORY


def _most_memory() -> int:
    """Return the most memory that this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["integration", "queryset", "tenant", "tenants"])
def test_seventy_thousand_syncs_can_be_deleted(how: str) -> None:
    integration = history(MANY)
    tenant = integration.tenant
    with bounded_memory():
        if how == "integration":
            integration.delete()
        elif how == "queryset":
            TenantIntegration.objects.filter(pk=integration.pk).delete()
        elif how == "tenant":
            tenant.delete()
        else:
            Tenant.objects.all().delete()
    assert not TenantIntegration.objects.exists() and not IntegrationSync.objects.exists()
    assert IntegrationEvent.objects.count() == (0 if "tenant" in how else MANY)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", ["tenantintegration", "tenant"])
@pytest.mark.parametrize("way", ["page", "action"])
def test_seventy_thousand_rows_can_be_deleted_in_the_admin(model: str, way: str) -> None:
    integration = history(MANY)
    pk = integration.pk if model == "tenantintegration" else integration.tenant_id
    client = superuser()
    with bounded_memory():
        if way == "page":
            page(client, url(model, "delete", pk))
            assert client.post(url(model, "delete", pk), {"post": "yes"}).status_code == 302
        else:
            data = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
            assert client.post(url(model), data).status_code == 302
        assert IntegrationSync.objects.count() == MANY
        while delete_marked()["left"]:
            pass
    assert not IntegrationSync.objects.exists() and not TenantIntegration.objects.exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_tenant_with_seventy_thousand_objects_can_be_deleted() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    many_rows.make_items(tenant.pk, MANY)
    with bounded_memory():
        tenant.delete()
    assert not WorkItem.objects.exists() and not Note.objects.exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_seventy_thousand_rows_can_be_purged() -> None:
    integration = history(MANY, days=31)
    many_rows.make_log(integration, MANY, days=31)
    many_rows.make_received(integration, MANY, days=31)
    many_rows.make_received(integration, MANY, days=4, valid=False)
    with bounded_memory():
        assert purge() == {"events": MANY, "syncs": MANY}
        assert purge_log() == 2 * MANY
        assert purge_received() == 2 * MANY
    assert not ExecutionLog.objects.exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_seventy_thousand_rows_of_nobody_are_purged() -> None:
    integration = history(MANY, status="pending", logs=False)
    IntegrationSync.objects.update(integration_id=integration.pk + 1000)
    with bounded_memory():
        assert purge()["syncs"] == MANY


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_seventy_thousand_rows_can_be_retried_replayed_and_cancelled() -> None:
    integration = history(MANY, status="failed", logs=False)
    pks = list(IntegrationSync.objects.values_list("pk", flat=True))
    with bounded_memory():
        assert operator_actions.retry(pks, actor="alice") == MANY
        IntegrationSync.objects.update(status="synced")
        assert operator_actions.replay(pks, actor="alice") == MANY
        assert operator_actions.cancel(pks, actor="alice") == MANY
        IntegrationSync.objects.update(status="pending")
        TenantIntegration.unannounced.update(is_active=False)
        assert unsendable.cancel_pending(integration, "the integration is switched off") == MANY
    assert set(statuses()) == {"cancelled"}
