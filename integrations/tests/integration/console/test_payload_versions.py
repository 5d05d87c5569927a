"""Versions of a payload in the console: which one a subscription has, what changed, a preview, and moving it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from integrations.models import EventSubscription, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver
from integrations.tests.versions import second_version

from .test_settings import VIEWER, saved, url
from .test_setup import page, signed_in

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
CREATED = "workitem_created"


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def ours() -> Iterator[TenantIntegration]:
    """An integration that was made while there was one version; now there are two."""
    found = make_integration(make_tenant(), events=(CREATED,))
    with second_version():
        yield found


@pytest.fixture
def manager(ours: TenantIntegration) -> Client:
    return signed_in(ours.tenant, role="manager")


def test_a_subscription_is_moved_with_what_changed_in_words_and_a_preview(
    ours: TenantIntegration, manager: Client
) -> None:
    make_item(ours.tenant, estimated_price="12.50")
    assert "version 1 of 2" in page(manager, url("integration-events", ours))
    editor, trial = (url(name, ours, CREATED) for name in ("integration-event", "integration-event-try"))
    html = page(manager, editor)
    assert "What version 2 changes" in html
    assert "<li>workitem.estimated_price is gone.</li>" in html and "<li>workitem.prices is new.</li>" in html
    assert 'data-inserts="workitem.estimated_price"' in html
    for version, name, field in (("1", "estimated_price", "estimated_price"), ("2", "prices", "prices.estimated")):
        tried = manager.post(trial, {"payload_version": version}).content.decode()
        assert f"&quot;{name}&quot;" in tried and f'data-inserts="workitem.{field}"' in tried
    assert EventSubscription.objects.get().payload_version == 1  # trying saves nothing

    typed = {"payload_version": "2", "condition": "workitem.estimated_price > `1`", "payload": ""}
    refused = saved(manager, ours, CREATED, **typed).content.decode()
    assert "There is no workitem.estimated_price" in refused and '<option value="2" selected>' in refused
    typed["condition"] = "workitem.prices.estimated > `1`"
    assert saved(manager, ours, CREATED, **typed).status_code == 302
    assert EventSubscription.objects.get().payload_version == 2
    html = page(manager, url("integration-events", ours))
    assert "version 2" in html and "version 1 of 2" not in html
    assert "payload version of workitem_created" in page(manager, reverse("console:audit"))


def test_who_saves_over_a_version_that_somebody_moved_meanwhile_is_told(
    ours: TenantIntegration, manager: Client
) -> None:
    editor = url("integration-event", ours, CREATED)
    seen = manager.get(editor).context["seen"]
    ours.subscribe(CREATED, versions={CREATED: 2})
    html = manager.post(editor, {"condition": "event_type", "payload_version": "1", "seen": seen}).content.decode()
    assert "It has version 2 of the payload." in html
    assert EventSubscription.objects.get().payload_version == 2


@pytest.mark.parametrize("posted", ["3", "0", "99999", "x", "-1"])
def test_a_version_that_there_is_not_is_refused_or_left_as_it_is(
    posted: str, ours: TenantIntegration, manager: Client
) -> None:
    answer = saved(manager, ours, CREATED, payload_version=posted)
    assert EventSubscription.objects.get().payload_version == 1
    if posted.isdecimal():
        assert f"There is no version {posted} of the payload of {CREATED}; there are 1, 2." in answer.content.decode()


def test_a_version_that_nobody_makes_any_more_is_named_and_can_be_left(ours: TenantIntegration) -> None:
    manager = signed_in(ours.tenant)
    with second_version(older={}):
        html = page(manager, url("integration-event", ours, CREATED))
        assert "Nobody makes version 1 any more, so version 2 is sent." in html
        assert saved(manager, ours, CREATED, payload_version="2").status_code == 302
    assert EventSubscription.objects.get().payload_version == 2


def test_a_viewer_sees_the_version_and_cannot_move_it(ours: TenantIntegration) -> None:
    viewer = signed_in(ours.tenant, name="vera", permissions=VIEWER)
    html = page(viewer, url("integration-event", ours, CREATED))
    assert 'name="payload_version" disabled' in html
    assert saved(viewer, ours, CREATED, payload_version="2").status_code == 403


def test_where_there_is_one_version_nothing_is_said_of_versions() -> None:
    ours = make_integration(make_tenant(), events=(CREATED,))
    manager = signed_in(ours.tenant)
    assert "ersion" not in page(manager, url("integration-event", ours, CREATED)).split("<main")[1]


def test_the_catalogue_shows_each_version(ours: TenantIntegration, manager: Client) -> None:
    html = page(manager, reverse("console:event-type", args=[CREATED]))
    assert "payload version 2" in html and "<h2>Version 1</h2>" in html
    assert "<li>workitem.prices is new.</li>" in html


def test_the_event_of_a_test_is_chosen_on_the_workbench(
    ours: TenantIntegration, manager: Client, receiver: Receiver, settings: Any
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    TenantIntegration.objects.filter(pk=ours.pk).update(webhook_url_encrypted="")
    ours.webhook_url = receiver.url
    ours.save()
    ours.subscribe(CREATED, conditions={CREATED: "workitem.priority == 'Urgent'"})
    bench, button = url("integration", ours), reverse("console:integration-do", args=[ours.public_id, "test"])
    assert '<option value="workitem_created">' in page(manager, bench)
    manager.post(button, {"event_type": CREATED})
    html = page(manager, bench)
    assert "The test event was taken" in html and "Its condition would skip this event" in html
    for chosen in ("test", "no_such_type", ""):
        manager.post(button, {"event_type": chosen})
    assert [each.headers["webhook-event"] for each in receiver.requests] == [CREATED, "test", CREATED, CREATED]
