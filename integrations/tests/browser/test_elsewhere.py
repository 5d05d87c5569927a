"""Another tenant's pages: none of them exists, whoever asks, and each address says so like a page."""

from __future__ import annotations

import pytest

from app.demo.data.fill import fill
from app.demo.pages import pages
from integrations.console.urls import urlpatterns
from integrations.tests.factories import make_tenant
from tenants.models import Membership, Tenant

from .people import DESK, PHONE, People

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]

OF_NOBODY = {"setup", "event-type"}  # named by a connector type or an event type, no row of a tenant


def test_no_page_of_another_tenant_exists(people: People, server: str) -> None:
    fill(server, pace=0.1)
    mine = make_tenant("Initech")
    theirs = Tenant.objects.get(name="Northwind Repairs")
    has_a_row = {pattern.name for pattern in urlpatterns if getattr(pattern.pattern, "converters", None)}
    addresses = [page.url for page in pages(theirs) if page.name in has_a_row - OF_NOBODY]
    assert len(addresses) > 25
    secret_words = [theirs.name, *Membership.objects.filter(tenant=theirs).values_list("user__username", flat=True)]
    for role in ("viewer", "operator", "manager"):
        someone = people.join(role, mine)
        for number, address in enumerate(addresses):
            screen = (DESK, PHONE)[number % 2]
            someone.window.set_viewport_size({"width": screen.width, "height": screen.height})
            someone.finds_nothing_at(server + address)
            shown = someone.window.content()
            assert role != "manager" or "There is nothing here" in shown, address
            assert not [word for word in secret_words if word in shown], address
        someone.opens()
        someone.sees("Nothing is connected yet")
