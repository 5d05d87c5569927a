"""What the pages show: states, reasons, answers, attempts; and what they never show: secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone

from integrations.admin.lists import history
from integrations.audit.notes import received
from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from integrations.tests.receiver import Answer, Receiver
from tasks.models import Note, WorkItem

from .admin_world import (
    CANARIES,
    Side,
    make_integration,
    make_side,
    page,
    pending,
    settled,
    shown_values,
    superuser,
    url,
)

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.portable]

urlpatterns = [path("admin/", admin.site.urls)]  # a host that mounts nothing of ours


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


@pytest.fixture
def here(acme: Side, receiver: Receiver, settings: Any) -> TenantIntegration:
    """Acme's integration, pointed at the receiver."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    acme.integration.webhook_url = f"{receiver.url}/canary-path"
    acme.integration.save()
    return acme.integration


def change_page(side: Side, integration: TenantIntegration | None = None) -> str:
    return page(side.client, url("tenantintegration", "change", (integration or side.integration).pk))


# -- secrets ---------------------------------------------------------------------------------------------


def test_no_page_shows_a_secret(acme: Side) -> None:
    secret = acme.integration.credentials["signing_keys"][0]["secret"]
    values = shown_values(acme.client, acme.integration, name="Renamed")
    acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    workbench = f"/console/integrations/{acme.integration.public_id}/"
    acme.client.post(f"{workbench}do/resume/")
    views = ("change", "history", "delete")
    pages = [
        url("tenantintegration"),
        *(url("tenantintegration", view, acme.integration.pk) for view in views),
        "/console/integrations/",
        *(workbench + tab for tab in ("", "calling-back/", "rotate/", "secret/", "delete/")),
        url("integrationsync"),
        url("integrationsync", "change", acme.sync.pk),
        url("executionlog"),
        url("executionlog", "change", acme.log.pk),
        url("workitem", "change", acme.item.pk),
    ]  # fmt: skip
    for client in (acme.client, superuser()):
        for address in pages:
            html = page(client, address)
            assert not [canary for canary in (*CANARIES, secret) if canary in html], address
    kept = "".join(LogEntry.objects.values_list("change_message", flat=True))
    kept += str([session.get_decoded() for session in Session.objects.all()])
    assert not [canary for canary in (*CANARIES, secret) if canary in kept]


def test_what_a_receiver_echoes_is_redacted_everywhere(acme: Side, here: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(lambda request: Answer(400, str(request.headers).encode() + request.path.encode()))
    html = acme.client.post(f"/console/integrations/{here.public_id}/do/test/", follow=True).content.decode()
    assert "HTTP 400" in html
    kept = html + str(list(ExecutionLog.objects.values())) + page(acme.client, url("executionlog"))
    assert not [canary for canary in CANARIES if canary in kept]


def test_names_and_answers_are_escaped(acme: Side) -> None:
    evil = "<script>alert(1)</script>"
    make_integration(acme.tenant, evil)
    WorkItem.objects.create(tenant=acme.tenant, reference_id=evil, description=evil)
    sync = IntegrationSync.objects.filter(integration__name=evil).get()
    settled(sync, "failed", last_error=evil, reason=evil)
    ExecutionLog.objects.create(
        integration=sync.integration, sync=sync, action="deliver", error=evil, response_payload=evil
    )
    item = WorkItem.objects.get(reference_id=evil)
    Note.objects.create(tenant=acme.tenant, work_item=item, text=evil)
    for address in (
        "/console/integrations/", f"/console/integrations/{sync.integration.public_id}/",
        url("tenantintegration"), url("tenantintegration", "change", sync.integration_id), url("integrationsync"),
        url("integrationsync", "change", sync.pk), url("executionlog"), url("workitem"),
        url("workitem", "change", item.pk), url("tenantintegration", "delete", sync.integration_id),
    ):  # fmt: skip
        assert evil not in page(acme.client, address), address


def test_no_inline_script_or_style(acme: Side) -> None:
    """A Content-Security-Policy without 'unsafe-inline' breaks none of our pages."""
    for address in (
        url("tenantintegration", "change", acme.integration.pk),
        url("integrationsync", "change", acme.sync.pk),
    ):
        html = page(acme.client, address)
        assert "style=" not in html and " onclick" not in html and "<style" not in html
        assert all("src=" in tag.partition(">")[0] for tag in html.split("<script")[1:] if "json" not in tag[:60])


# -- integrations ----------------------------------------------------------------------------------------


def test_states_in_the_list(acme: Side) -> None:
    now = timezone.now()
    rows: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "✓ Working": ({}, {"last_success_at": now}),
        "○ Ready": ({}, {}),
        "– Off": ({"is_active": False}, {}),
        "✗ Disabled": ({"is_enabled": False, "disabled_reason": "refused three times"}, {}),
        "✗ Needs attention": ({}, {"attention": "it moved"}),
        "⚠ Resting": ({}, {"paused_until": now + timedelta(minutes=5), "pause_reason": "the destination asked us"}),
        "⚠ Paused": ({}, {"paused_since": now, "paused_by": "jane"}),
        "✗ Failing": ({}, {"paused_until": now - timedelta(minutes=5), "breaker": "open", "times_opened": 1}),
    }
    for label, (values, lane) in rows.items():
        integration = make_integration(acme.tenant, f"is {label}", **values)
        Lane.objects.filter(pk=integration.pk).update(**lane)
    html = page(acme.client, url("tenantintegration"))
    assert all(label in html for label in rows)
    assert "https://hooks.example.com/•••" in html
    none = make_integration(acme.tenant, "none")
    none.subscribe()
    assert "– No events" in page(acme.client, url("tenantintegration"))


def test_the_list_without_the_console(acme: Side, settings: Any) -> None:
    assert "/console/integrations/" in page(acme.client, url("tenantintegration"))
    settings.ROOT_URLCONF = __name__
    html = page(acme.client, url("tenantintegration"))
    assert "Acme hook" in html and "/console/integrations/" not in html


def test_the_list_asks_a_fixed_number_of_questions(acme: Side) -> None:
    page(acme.client, url("tenantintegration"))
    with CaptureQueriesContext(connection) as few:
        page(acme.client, url("tenantintegration"))
    for number in range(10):
        make_integration(acme.tenant, f"more {number}", "workitem_created", "workitem_updated")
    with CaptureQueriesContext(connection) as many:
        page(acme.client, url("tenantintegration"))
    assert len(many) == len(few)


def test_the_form_leads_to_the_workbench_and_says_how_it_is(acme: Side) -> None:
    html = change_page(acme)
    workbench = f"/console/integrations/{acme.integration.public_id}/"
    assert f'href="{workbench}"' in html and "○ Ready" in html and "Nothing was due yet" in html
    assert f'href="{workbench}calling-back/"' in html
    assert "Its syncs" not in html and "Send test event<" not in html, "what a person does with it is in the workbench"


# -- syncs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "label"),
    [("pending", "⚠ Pending"), ("synced", "✓ Synced"), ("failed", "✗ Failed"), ("cancelled", "– Cancelled")],
)
def test_s1_38_symbols(status: str, label: str, acme: Side) -> None:
    IntegrationSync.objects.filter(pk=acme.sync.pk).update(status=status, last_error="what went wrong")
    for address in (url("integrationsync") + f"?status__exact={status}", url("integrationsync", "change", acme.sync.pk),
                    url("workitem", "change", acme.item.pk)):  # fmt: skip
        html = page(acme.client, address)
        assert label in html and "what went wrong" in html


def test_retrying_says_which_attempt_and_when(acme: Side) -> None:
    pending(acme.sync, attempts=2, next_attempt_at=timezone.now() + timedelta(minutes=5))
    html = page(acme.client, url("integrationsync"))
    assert "retrying, attempt 3, next at" in html
    TenantIntegration.unannounced.filter(pk=acme.integration.pk).update(is_enabled=False)
    assert "held until the integration is re-enabled" in page(acme.client, url("integrationsync"))


def test_search_by_webhook_id_object_id_and_words(acme: Side) -> None:
    WorkItem.objects.create(tenant=acme.tenant, reference_id="Bravo")
    key = acme.sync.event.idempotency_key
    for term in (key, str(acme.item.pk), "Acme-1"):
        html = page(acme.client, f"{url('integrationsync')}?q={term}")
        assert "Acme-1</a>" in html and "Bravo</a>" not in html, term
    assert "0 integration syncs" in page(acme.client, f"{url('integrationsync')}?q=nothing-like-it")


@pytest.mark.parametrize(
    "query",
    ["integration={}", "event_type=workitem_created", "tenant=1", "created_at__gte=2020-01-01+00%3A00%3A00%2B00%3A00"],
)
def test_filters(query: str, acme: Side) -> None:
    assert "Acme-1</a>" in page(superuser(), f"{url('integrationsync')}?{query.format(acme.integration.pk)}".replace(
        "tenant=1", f"tenant={acme.tenant.pk}"))  # fmt: skip
    assert "Acme-1</a>" not in page(acme.client, f"{url('integrationsync')}?event_type=workitem_deleted")


def test_the_form_of_a_sync_is_read_only_and_leads_to_its_story(acme: Side) -> None:
    html = page(acme.client, url("integrationsync", "change", acme.sync.pk))
    assert acme.sync.event.idempotency_key in html and ">Acme-1</a>" in html
    assert 'name="_save"' not in html and "Delete" not in html
    story = reverse("console:delivery", args=[acme.sync.pk])
    assert f'href="{story}"' in html and f'href="{story}"' in page(acme.client, url("integrationsync"))


def test_the_story_shows_payload_and_every_attempt(acme: Side) -> None:
    for attempt, (status, error) in enumerate([(503, "busy"), (None, "timeout"), (200, "")], 2):
        ExecutionLog.objects.create(
            integration=acme.integration, sync=acme.sync, action="deliver", attempt=attempt, response_status=status,
            error=error, duration_ms=41 + attempt, response_payload=f"answer {attempt}",
        )  # fmt: skip
    html = page(acme.client, reverse("console:delivery", args=[acme.sync.pk]))
    for part in (acme.sync.event.idempotency_key, "&quot;reference_id&quot;: &quot;Acme-1&quot;", "44 ms", "busy",
                 "Attempt 2: HTTP 503", "Attempt 3: no answer", "Attempt 4: delivered, HTTP 200", "answer 4",
                 ">Acme-1</a>"):  # fmt: skip
        assert part in html, part


def test_a_deleted_object_is_named_without_a_link(acme: Side) -> None:
    pk = acme.item.pk
    acme.item.delete()
    assert f"work item {pk}" in page(acme.client, url("integrationsync"))


def test_s1_64_retry_replay_and_cancel(acme: Side) -> None:
    settled(acme.sync, "failed", attempts=9)
    other = make_integration(acme.tenant, "second")
    WorkItem.objects.create(tenant=acme.tenant, reference_id="B-2")
    synced = IntegrationSync.objects.get(integration=other)
    settled(synced, "synced", attempts=1)
    rows = {"pk": [acme.sync.pk, synced.pk]}
    many = reverse("console:deliveries-act")
    html = acme.client.post(many, {"act": "retry", **rows}, follow=True).content.decode()
    assert "1 delivery due now" in html and "1 left alone: synced already" in html
    acme.sync.refresh_from_db()
    assert acme.sync.status == "pending" and acme.sync.attempts == 0 and acme.sync.reason == "retried by Acme-staff"
    html = acme.client.post(many, {"act": "cancel", **rows}, follow=True).content.decode()
    assert "1 delivery cancelled" in html and "1 left alone: not pending" in html
    acme.client.post(reverse("console:delivery-act", args=[synced.pk, "replay"]))
    synced.refresh_from_db()
    assert synced.status == "pending" and synced.reason == "replayed by Acme-staff"
    acme.client.post(reverse("console:delivery-act", args=[synced.pk, "cancel"]))
    synced.refresh_from_db()
    assert synced.status == "cancelled"
    TenantIntegration.unannounced.filter(pk=other.pk).update(is_active=False)
    retry = reverse("console:delivery-act", args=[synced.pk, "retry"])
    assert "switched off" in acme.client.post(retry, follow=True).content.decode()


def test_history_is_read_only_even_for_superusers(acme: Side) -> None:
    client = superuser()
    for model, row in (("integrationsync", acme.sync), ("executionlog", acme.log)):
        assert client.get(url(model, "add")).status_code == 403
        assert client.post(url(model, "change", row.pk), {"status": "synced"}).status_code == 403
        assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_the_list_stays_quick_whatever_there_is(acme: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGED", 60)
    content_type = ContentType.objects.get_for_model(WorkItem)
    events = IntegrationEvent.objects.bulk_create(
        IntegrationEvent(
            tenant=acme.tenant, event_type="workitem_updated", content_type=content_type, object_id=str(acme.item.pk),
            body="{}", occurred_at=timezone.now(),
        )
        for _ in range(200)
    )  # fmt: skip
    IntegrationSync.objects.bulk_create(
        IntegrationSync(event=event, integration=acme.integration, object_key="x") for event in events
    )
    page(acme.client, url("integrationsync"))
    with CaptureQueriesContext(connection) as queries:
        html = page(acme.client, url("integrationsync"))
    assert "60 integration syncs" in html
    assert html.count(">Story</a>") == 50
    assert len(queries) <= 14, [query["sql"][:120] for query in queries]
    listed = [query["sql"] for query in queries if 'FROM "integrations_integrationsync"' in query["sql"]]
    assert all("LIMIT" in sql for sql in listed), listed
    assert not any('"integrations_integrationevent"."body"' in sql for sql in listed), "bodies are not for lists"
    with CaptureQueriesContext(connection) as queries:
        page(acme.client, url("integrationsync", "change", acme.sync.pk))
    assert len(queries) <= 12


def test_receipts_stand_apart_from_peoples_notes_and_lead_to_their_story(acme: Side) -> None:
    settled(acme.sync, "synced")
    Note.objects.create(
        tenant=acme.tenant,
        work_item=acme.item,
        text=received(acme.integration.name, acme.sync.event.event_type, status=200, attempt=1),
    )
    Note.objects.create(tenant=acme.tenant, work_item=acme.item, text="Called the customer.", author=acme.user)
    Note.objects.create(tenant=acme.tenant, work_item=acme.item, text="n8n: the customer was told")  # it called back
    notes, receipts = page(acme.client, url("workitem", "change", acme.item.pk)).split("Receipts</h2>", 1)
    for text in ("Called the customer.", "n8n: the customer was told"):
        assert text in notes and text not in receipts
    story = reverse("console:delivery", args=[acme.sync.pk])
    assert f'<a href="{story}">✓ {acme.integration.name} received' in receipts and "✓ Acme hook received" not in notes


# -- work items ------------------------------------------------------------------------------------------


def test_a_note_that_nobody_of_ours_wrote_rearranges_nothing(acme: Side) -> None:
    Note.objects.create(tenant=acme.tenant, work_item=acme.item, text="n8n: paid \u202e\U000e0041<b>")
    Note.objects.create(tenant=acme.tenant, work_item=acme.item, author=acme.user, text="👨\u200d👩 as typed")
    html = page(acme.client, url("workitem", "change", acme.item.pk))
    assert "n8n: paid \\u202e\\U000e0041&lt;b&gt;" in html and "\u202e" not in html
    assert "👨\u200d👩 as typed" in html


def test_notes_are_shown_and_added_but_never_edited(acme: Side) -> None:
    Note.objects.create(tenant=acme.tenant, work_item=acme.item, text="✓ delivered")
    html = page(acme.client, url("workitem", "change", acme.item.pk))
    assert "system ·" in html and "✓ delivered" in html
    before = IntegrationEvent.objects.count()
    acme.integration.subscribe("workitem_created", "workitem_updated")
    item = acme.item
    item.refresh_from_db()
    values = {
        "reference_id": item.reference_id, "description": "", "status": item.status, "priority": item.priority,
        "type": item.type, "customer": item.customer_id, "customer_asset": item.customer_asset_id,
        "dropoff_point": item.dropoff_point_id, "intake_method": item.intake_method, "new_note": "called the customer",
        "created_date_0": f"{item.created_date:%Y-%m-%d}", "created_date_1": f"{item.created_date:%H:%M:%S}",
    }  # fmt: skip
    assert acme.client.post(url("workitem", "change", item.pk), values).status_code == 302
    note = Note.objects.get(text="called the customer")
    assert note.author == acme.user and note.tenant == acme.tenant
    del values["new_note"]
    acme.client.post(url("workitem", "change", item.pk), {**values, "status": "in_progress"})
    assert Note.objects.count() == 2
    assert IntegrationEvent.objects.filter(event_type="workitem_updated").count() <= 1
    assert IntegrationEvent.objects.count() >= before


def test_deliveries_panel(acme: Side) -> None:
    html = page(acme.client, url("workitem", "change", acme.item.pk))
    assert "Deliveries" in html and f'href="{reverse("console:delivery", args=[acme.sync.pk])}"' in html
    event = acme.sync.event
    assert f'href="{reverse("console:object", args=[event.content_type_id, event.object_id])}"' in html
    assert "Deliveries" not in page(acme.client, url("customer", "change", acme.customer.pk))
    lonely = WorkItem.objects.create(tenant=acme.tenant, reference_id="B-1")
    IntegrationSync.objects.exclude(pk=acme.sync.pk).delete()
    assert "Nothing was sent about this yet" in page(acme.client, url("workitem", "change", lonely.pk))
    assert "Deliveries" not in page(acme.client, url("workitem", "add"))
