"""The catalogue in the console, and whether what is sent is as it says."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from jsonschema import Draft202012Validator

from integrations.catalogue.entries import entries
from integrations.models import IntegrationEvent
from integrations.templatetags import console
from integrations.tests.factories import ALL_EVENTS, make_integration, make_item, make_tenant
from tenants.models import Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(settings: object) -> Client:
    settings.SECURE_SSL_REDIRECT = False  # type: ignore[attr-defined]
    user = User.objects.create_user("vera")
    Membership.objects.create(tenant=make_tenant(), user=user, role="viewer")
    client = Client()
    client.force_login(user)
    return client


def test_every_event_type_has_a_page(viewer: Client) -> None:
    listed = viewer.get("/console/event-types/").content.decode()
    for each in entries():
        assert each.name in listed
        page = viewer.get(f"/console/event-types/{each.name}/")
        assert page.status_code == 200 and "JSON Schema" in page.content.decode()
    assert viewer.get("/console/event-types/no_such_thing/").status_code == 404


def test_names_of_fields_break_at_their_parts_and_backticks_are_shown_as_code(viewer: Client) -> None:
    listed = viewer.get("/console/event-types/").content.decode()
    assert "<code>changes</code> has the old and the new value" in listed and "`changes`" not in listed
    page = viewer.get("/console/event-types/workitem_status_changed/").content.decode()
    assert "<code>changes</code> has the old and the new value" in page
    assert "<code>workitem.<wbr>reference_<wbr>id</code>" in page
    assert console.coded("a `<b>` & `c") == "a <code>&lt;b&gt;</code> &amp; <code>c</code>"
    assert console.dotted("<a>.b") == "&lt;a&gt;.<wbr>b"


def test_what_is_recorded_is_as_the_catalogue_says() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant, description="one", estimated_price="12.50")
    item.status = "In Progress"
    item.save()
    item.comments = "more"
    item.save()
    item.delete()
    schemas = {each.name: each.schema for each in entries()}
    recorded = list(IntegrationEvent.objects.order_by("id"))
    assert {event.event_type for event in recorded} == set(ALL_EVENTS)
    for event in recorded:
        Draft202012Validator(schemas[event.event_type]).validate(json.loads(event.body))
