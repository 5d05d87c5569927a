"""Deliveries in the console: the list, one story, an object; whose rows, what is said, who may do something."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from standardwebhooks import Webhook

from app.demo.data.fill import fill
from integrations.acting import acting_as
from integrations.audit.exchanges import exchanges_of
from integrations.console.delivery.exchange import as_curl
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync, TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from tasks.models import Note
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
CANARIES = ("canary-header-1c", "canary-key-2d", "canary-password-3e", "canary-path-4f")


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}


def person(tenant: Tenant, role: str = "viewer") -> Client:
    user = User.objects.create_user(f"{role}-{tenant.pk}")
    Membership.objects.create(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def read(client: Client, name: str, *args: Any, status: int = 200, query: Any = None, **headers: Any) -> str:
    answer = client.get(reverse(f"console:{name}", args=args), query or {}, headers=headers)
    assert answer.status_code == status, answer.content.decode()[:3000]
    return answer.content.decode()


def sync_of(item: Any) -> IntegrationSync:
    return IntegrationSync.objects.select_related("event", "integration").get(event__object_id=str(item.pk))


def test_the_story_from_the_change_to_the_note(receiver: Receiver, django_assert_max_num_queries: Any) -> None:
    tenant = make_tenant()
    target = make_integration(tenant, receiver.url)
    with acting_as("alice"):
        item = make_item(tenant, reference_id="RMA-77")
    sync, client = sync_of(item), person(tenant, "operator")
    assert "Due now: the first attempt" in read(client, "delivery", sync.pk)
    receiver.answer_with(Answer(503, b'{"why": "upgrade"}'))
    drain(target.pk)
    text = read(client, "delivery", sync.pk)
    assert "Next: attempt 2" in text and "The receiver had trouble of its own" in text
    IntegrationSync.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    drain(target.pk)
    with django_assert_max_num_queries(15):
        text = read(client, "delivery", sync.pk)
    told = ["Changed by alice", "Recorded, and owed to", "Attempt 1: HTTP 503", "Attempt 2: delivered, HTTP 200",
            "Noted on the object"]  # fmt: skip
    places = [text.index(words) for words in told]
    assert places == sorted(places)
    for request in receiver.requests:
        assert request.headers["webhook-signature"] in text
        assert request.headers["webhook-id"] in text
    assert "&quot;why&quot;: &quot;upgrade&quot;" in text
    assert "RMA-77" in text and "webhook-attempt: 2" in text


def test_what_was_logged_before_requests_were_kept_reads_well(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    sync = sync_of(make_item(target.tenant))
    drain(target.pk)
    ExecutionLog.objects.update(exchanges=None)
    text = read(person(target.tenant), "delivery", sync.pk)
    assert "Attempt 1: delivered, HTTP 200" in text and "The request itself was not kept" in text
    assert "&quot;ok&quot;: true" in text


def test_no_secret_is_on_any_page(receiver: Receiver) -> None:
    """The object's own text holds one, too: what is sent is the event's body, which is made again for the page."""
    receiver.answer_with(lambda request: Answer(500, f"{request.path} {request.headers}".encode()))
    target = make_integration(
        make_tenant(),
        f"http://{receiver.netloc}/{CANARIES[3]}",
        headers={"X-Shop": CANARIES[0]},
        credentials={"api_key": CANARIES[1], "username": "u", "password": CANARIES[2]},
    )
    sync = sync_of(make_item(target.tenant, description=f"the key is {CANARIES[1]}"))
    drain(target.pk)
    assert CANARIES[1] in receiver.requests[0].body.decode()
    client = person(target.tenant, "manager")
    text = read(client, "delivery", sync.pk)
    text += read(client, "deliveries") + read(client, "integration-deliveries", target.public_id)
    assert "the key is ***" in text and "$HEADER_X_SHOP" in text and "$WEBHOOK_URL" in text
    assert [canary for canary in (*CANARIES, SECRET.removeprefix("whsec_")) if canary in text] == []


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="curl and openssl are not here")
def test_the_command_for_a_shell_does_the_same(receiver: Receiver) -> None:
    """Run with the secrets that it asks for, it makes a request that a receiver takes as ours."""
    target = make_integration(make_tenant(), receiver.url, headers={"X-Shop": CANARIES[0]})
    sync = sync_of(make_item(target.tenant, description='it\'s $HOME `id` \\ "quoted"\n%s ü'))
    drain(target.pk)
    (exchange,) = exchanges_of(ExecutionLog.objects.filter(action="deliver"), sync)[ExecutionLog.objects.get().pk]
    command = as_curl(exchange)
    assert command.startswith("# Set first: WEBHOOK_URL, HEADER_X_SHOP, WEBHOOK_SECRET\n")
    given = {
        "WEBHOOK_URL": receiver.url,
        "HEADER_X_SHOP": CANARIES[0],
        "WEBHOOK_SECRET": SECRET,
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run(["bash", "-euc", command], env=given, check=True, capture_output=True, timeout=30)
    first, second = receiver.requests
    assert second.body == first.body
    Webhook(SECRET).verify(second.body, second.headers)
    fresh = {"webhook-timestamp", "webhook-signature", "content-length"}
    assert {**first.headers, **dict.fromkeys(fresh)} == {**second.headers, **dict.fromkeys(fresh)}


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl"))), reason="curl is not here")
def test_the_command_sends_nothing_of_whose_shell_it_is(receiver: Receiver, tmp_path: Any) -> None:
    """A tenant chooses names of headers and a body, an operator pastes: neither a variable nor a file goes with it."""
    own = tmp_path / "own"
    own.write_text("a file of the operator")
    target = make_integration(make_tenant(), receiver.url, headers={"AWS-Secret-Access-Key": CANARIES[0]})
    sync = sync_of(make_item(target.tenant))
    drain(target.pk)
    (exchange,) = exchanges_of(ExecutionLog.objects.filter(action="deliver"), sync)[ExecutionLog.objects.get().pk]
    unsigned = [pair for pair in exchange.head if not pair[0].startswith("webhook-")]
    command = as_curl(replace(exchange, body=f"@{own}", head=unsigned))
    env = {"WEBHOOK_URL": receiver.url, "AWS_SECRET_ACCESS_KEY": "the operator's", "PATH": "/usr/bin:/bin"}
    subprocess.run(["bash", "-c", command], env=env, check=True, capture_output=True, timeout=30)
    sent = receiver.requests[-1]
    assert sent.body.decode() == f"@{own}" and "the operator's" not in str(sent.headers)


def test_waiting_is_explained(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    item = make_item(target.tenant)
    item.description = "changed"
    item.save()
    first, second = IntegrationSync.objects.order_by("pk")
    client = person(target.tenant)
    text = read(client, "delivery", second.pk)
    assert "Waits for an earlier event of the same object" in text
    assert reverse("console:delivery", args=[first.pk]) in text and 'rel="prev"' in text
    operator_actions.pause(target, actor="bob")
    assert "bob has paused the integration" in read(client, "delivery", first.pk)
    operator_actions.resume(target, actor="bob")
    TenantIntegration.objects.filter(pk=target.pk).update(is_enabled=False, disabled_reason="three refusals")
    text = read(client, "delivery", first.pk)
    assert "Waits until the integration is re-enabled" in text and "Three refusals." in text


def test_many_failures_are_folded_and_the_end_says_what_to_do(receiver: Receiver) -> None:
    receiver.answer_with(default=Answer(404, b"no such workflow"))
    target = make_integration(make_tenant(), receiver.url, max_attempts=9)
    sync = sync_of(make_item(target.tenant))
    for _ in range(9):
        IntegrationSync.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
        operator_actions.resume(target, actor="bob")
        drain(target.pk)
    text = read(person(target.tenant), "delivery", sync.pk)
    assert "5 more attempts failed" in text and "Gave up: nothing more is tried by itself" in text
    assert "It was tried 9 times." in text and "The receiver knows no such address" in text


def test_a_poll_answers_only_if_something_changed(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    sync, client = sync_of(make_item(target.tenant)), person(target.tenant)
    text = read(client, "delivery", sync.pk)
    seen = text.split("?seen=")[1].split('"')[0]
    live = reverse("console:delivery", args=[sync.pk]) + "?seen=" + seen
    assert client.get(live, headers={"HX-Request": "true"}).status_code == 204
    drain(target.pk)
    part = client.get(live, headers={"HX-Request": "true"})
    assert part.status_code == 200 and b"Attempt 1: delivered" in part.content and b"<html" not in part.content


def test_buttons_by_role(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    sync = sync_of(make_item(target.tenant))
    drain(target.pk)
    viewer, operator = person(target.tenant), person(target.tenant, "operator")
    replay = reverse("console:delivery-act", args=[sync.pk, "replay"])
    assert replay not in read(viewer, "delivery", sync.pk) and replay in read(operator, "delivery", sync.pk)
    refused = viewer.post(replay)
    assert refused.status_code == 403 and b"operator" in refused.content
    assert viewer.post(reverse("console:deliveries-act"), {"act": "replay", "pk": sync.pk}).status_code == 403
    assert operator.get(replay).status_code == 405
    assert operator.post(replay).status_code == 302
    sync.refresh_from_db()
    assert sync.status == "pending" and sync.reason == f"replayed by operator-{target.tenant_id}"
    assert "Replayed by operator-" in read(viewer, "delivery", sync.pk)
    assert operator.post(reverse("console:deliveries-act"), {"act": "cancel", "pk": sync.pk}).status_code == 302
    sync.refresh_from_db()
    assert sync.status == "cancelled"
    assert "Cancelled by operator-" in read(viewer, "delivery", sync.pk)
    assert operator.post(reverse("console:delivery-act", args=[sync.pk, "explode"])).status_code == 404


def test_another_tenants_deliveries_do_not_exist(receiver: Receiver) -> None:
    mine, theirs = make_tenant(), make_tenant("Other")
    target = make_integration(theirs, receiver.url, name="Secret project")
    item = make_item(theirs, reference_id="RMA-THEIRS")
    sync = sync_of(item)
    client = person(mine, "manager")
    for name, args in (
        ("delivery", [sync.pk]),
        ("integration-deliveries", [target.public_id]),
        ("object", [sync.event.content_type_id, sync.event.object_id]),
    ):
        read(client, name, *args, status=404)
    for query in ({}, {"object": "RMA-THEIRS"}, {"integration": str(target.public_id)}, {"status": "pending"},
                  {"object": sync.event.idempotency_key}, {"error": "x"}, {"tenant": str(theirs.pk)}):  # fmt: skip
        text = read(client, "deliveries", query=query)
        assert f"delivery-{sync.pk}" not in text and "Secret project" not in text
    for url in (reverse("console:delivery-act", args=[sync.pk, "cancel"]), reverse("console:deliveries-act")):
        client.post(url, {"act": "cancel", "pk": sync.pk})
    sync.refresh_from_db()
    assert sync.status == "pending"
    # Who sees both tenants sees it, whichever is looked at.
    Membership.objects.create(tenant=theirs, user=User.objects.get(username=f"manager-{mine.pk}"), role="viewer")
    client.post(reverse("console:tenant"), {"tenant": mine.pk})
    assert f"delivery-{sync.pk}" not in read(client, "deliveries")
    assert "RMA-THEIRS" in read(client, "delivery", sync.pk)


def test_the_list_finds_by_each_filter(receiver: Receiver, django_assert_max_num_queries: Any) -> None:
    tenant = make_tenant()
    first = make_integration(tenant, receiver.url, name="First")
    second = make_integration(tenant, receiver.url, name="Second", events=("workitem_created",))
    item = make_item(tenant, reference_id="RMA-500")
    receiver.answer_with(Answer(404, b"gone fishing"))
    drain(first.pk)
    drain(second.pk)
    failing, fine = IntegrationSync.objects.order_by("integration_id")
    client = person(tenant, "operator")

    def found(**query: Any) -> set[int]:
        with django_assert_max_num_queries(15):
            text = read(client, "deliveries", query=query)
        return {sync.pk for sync in (failing, fine) if f'id="delivery-{sync.pk}"' in text}

    assert found() == {failing.pk, fine.pk}
    for query in (
        {"status": "retrying"},
        {"status": "pending"},
        {"response_status": "404"},
        {"response_status": "4xx"},
        {"error": "gone fishing"},
        {"integration": str(first.public_id)},
        {"status": "pending", "integration": str(first.public_id), "error": "fishing", "since": "1h"},
    ):
        assert found(**query) == {failing.pk}, query
    for query in (
        {"object": "RMA-500"},
        {"object": str(item.pk)},
        {"object": fine.event.idempotency_key},
        {"event_type": "workitem_created"},
        {"since": "1h"},
    ):
        assert found(**query) == {failing.pk, fine.pk}, query
    for query in ({"status": "cancelled"}, {"until": "1h"}, {"object": "RMA-501"}, {"event_type": "workitem_deleted"}):
        assert found(**query) == set(), query
    text = read(client, "deliveries", query={"status": "nonsense", "response_status": "teapot"})
    assert 'value="teapot"' in text, "what is wrong stays there to be mended"
    assert "is no status" in text and "is no HTTP status" in text
    assert text.count('aria-invalid="true"') == 1 and 'aria-describedby="wrong-response_status"' in text
    assert 'aria-invalid="true"' not in read(client, "deliveries", query={"response_status": "404"})
    assert "No delivery matches" in read(client, "deliveries", query={"object": "RMA-501"})
    part = read(client, "deliveries", query={"status": "retrying"}, **{"HX-Request": "true"})
    assert "<html" not in part and f'id="delivery-{failing.pk}"' in part
    tab = read(client, "integration-deliveries", second.public_id)
    assert f'id="delivery-{fine.pk}"' in tab and f'id="delivery-{failing.pk}"' not in tab


def test_pages_of_a_list_lead_to_each_other_and_keep_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    from integrations.database.first_key import first_key
    from integrations.outbox import search

    monkeypatch.setattr(search, "LOOKED_AT", (3, 4))
    tenant = make_tenant()
    target = make_integration(tenant)
    for number in range(12):
        make_item(tenant, reference_id=f"RMA-{number}")
    pks = list(IntegrationSync.objects.order_by("-pk").values_list("pk", flat=True))
    IntegrationSync.objects.filter(pk=pks[10]).update(last_error="needle")
    visible = IntegrationSync.objects.all()
    which = search.SyncFilter()

    def page(**at: Any) -> search.Found:
        return search.search(which, visible, at.pop("among", search.Scope(is_all=True)), size=5, **at)

    for among in (search.Scope(is_all=True), search.Scope([target.pk]), search.Scope()):
        one = page(among=among)
        two = page(among=among, before=one.older)
        three = page(among=among, before=two.older)
        assert [row.pk for found in (one, two, three) for row in found.rows] == pks
        assert one.newer is None and three.older is None
        back = page(among=among, after=two.newer)
        assert back.rows == one.rows and back.newer is None and page(among=among, before=back.older).rows == two.rows
    # What must be looked for row by row is looked for so far and no further, and the next page goes on from there.
    which = search.SyncFilter(error="needle")
    first = page()
    assert (first.rows, first.looked_at, first.older) == ([], 7, pks[6]) and first.back_to is not None
    then = page(before=first.older)
    assert [row.pk for row in then.rows] == [pks[10]] and then.looked_at == 0 and then.older is None
    # Moments are found among the ids.
    moment = timezone.now() - timedelta(days=2)
    IntegrationSync.objects.filter(pk__in=pks[6:]).update(created_at=moment)
    assert first_key(IntegrationSync, moment + timedelta(hours=1)) == pks[5]
    which = search.SyncFilter(since="24h")
    assert [row.pk for row in page().rows] == pks[:5] and [row.pk for row in page(before=pks[4]).rows] == [pks[5]]
    which = search.SyncFilter(until="24h")
    assert [row.pk for row in page().rows] == pks[6:11]


def test_an_object_answers_whether_it_arrived(receiver: Receiver, django_assert_max_num_queries: Any) -> None:
    tenant = make_tenant()
    target = make_integration(tenant, receiver.url)
    make_integration(tenant, receiver.url, name="Not subscribed", events=())
    item = make_item(tenant, reference_id="RMA-9")
    drain(target.pk)
    item.description = "changed"
    item.save()
    Note.objects.create(tenant=tenant, work_item=item, text="Called.", author=User.objects.create(username="carol"))
    event = IntegrationEvent.objects.latest("pk")
    client = person(tenant)
    with django_assert_max_num_queries(15):
        text = read(client, "object", event.content_type_id, event.object_id)
    assert "RMA-9" in text and "⚠ Pending" in text and "✓ Synced" in text
    assert "Not subscribed" in text and "It was not subscribed to workitem_updated" in text
    receipts, people = text.split('<h2 id="notes-title"')
    assert "received workitem_created" in receipts and "Called." in people and "carol" in people
    which = f"{event.content_type_id}:{event.object_id}"
    listed = read(client, "deliveries", query={"object": which})
    assert f"?object={which}" in text
    for sync in IntegrationSync.objects.all():
        assert reverse("console:delivery", args=[sync.pk]) in text and f'id="delivery-{sync.pk}"' in listed
    read(client, "object", event.content_type_id, "no/such object", status=404)
    read(client, "object", 10**9, event.object_id, status=404)


def test_the_demo_reads_well(django_assert_max_num_queries: Any) -> None:
    """Every state that a week of traffic leaves, as a tenant's person of each role sees it."""
    now = timezone.now()
    fill("http://127.0.0.1:8180", now=now, since=now - timedelta(days=4), pace=0.1)
    client = Client()
    client.force_login(User.objects.get(username="acme-viewer"))
    for status in ("pending", "synced", "failed", "cancelled", "skipped"):
        sync = IntegrationSync.objects.filter(status=status, integration__tenant__name="Acme Corp").last()
        if sync is not None:
            with django_assert_max_num_queries(15):
                read(client, "deliveries", query={"status": status})
            with django_assert_max_num_queries(15):
                read(client, "delivery", sync.pk)


def test_what_strangers_say_rearranges_nothing(receiver: Receiver) -> None:
    """An answer, and a note that an integration wrote by calling back; it is no receipt."""
    tenant = make_tenant()
    hook = make_integration(tenant, receiver.url, events=("workitem_created",))
    item = make_item(tenant)
    receiver.answer_with(Answer(200, "taken \u202e\u2066gnp.exe".encode(), {"X-Said": "one"}))
    drain(hook.pk)
    Note.objects.create(tenant=tenant, work_item=item, text="n8n: paid \u202e<b>")
    client, sync = person(tenant), sync_of(item)
    story = read(client, "delivery", sync.pk)
    assert "gnp.exe" in story and not {"\u202e", "\u2066"} & set(story)
    page = read(client, "object", sync.event.content_type_id, sync.event.object_id)
    receipts, notes = page.split('<h2 id="receipts-title"')[1].split('<h2 id="notes-title"')
    assert "received workitem_created" in receipts and "n8n: paid" not in receipts
    assert "n8n: paid \\u202e&lt;b&gt;" in notes and "\u202e" not in page


def test_people_are_named_in_the_story_and_gone_accounts_said_to_be(
    receiver: Receiver, django_assert_max_num_queries: Any
) -> None:
    """Who did it, and the people whom a change is about: by their names, in a few queries however many there are."""
    target = make_integration(make_tenant(), receiver.url)
    names = [("Ann", "Smith"), ("Bob", "Jones"), ("Cem", "Kaya")]
    ann, bob, cem = (User.objects.create_user(f"u-{first}", first_name=first, last_name=last) for first, last in names)
    with acting_as(ann):
        item = make_item(target.tenant, technician=bob)
    with acting_as(bob, source="task", path="nightly"):
        item.technician = cem
        item.save()
    updated = IntegrationSync.objects.get(event__event_type="workitem_updated")
    client = person(target.tenant)
    for name, pk in (("delivery", updated.pk), ("event", updated.event_id)):
        text = read(client, name, pk)
        assert "Bob Jones, nightly" in text
        assert "Bob Jones → <strong>Cem Kaya</strong>" in text
    address = (updated.event.content_type_id, item.pk)
    assert "by Ann Smith" in read(client, "object", *address)
    ids = ann.pk, bob.pk
    User.objects.filter(pk__in=ids).update(username=F("first_name"))  # a new name of an account is still theirs
    assert "by Ann Smith" in read(client, "object", *address)
    User.objects.filter(pk__in=ids).delete()
    text = read(client, "delivery", updated.pk)
    assert "Changed by u-Bob, nightly, whose account is gone" in text
    assert f"user {ids[1]}, which is gone → <strong>Cem Kaya</strong>" in text
    for number in range(4):
        with acting_as(User.objects.create_user(f"more {number}", first_name="More", last_name=str(number))):
            item.comments = str(number)
            item.save()
    with django_assert_max_num_queries(15):
        text = read(client, "object", *address)
    assert all(f"by More {number}" in text for number in range(4))
