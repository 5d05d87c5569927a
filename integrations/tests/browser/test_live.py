"""Pages that are up to date by themselves: what they show when the server does not answer, and when it does again."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.delivery.drain import drain
from integrations.tests.factories import make_integration, make_item
from integrations.tests.receiver import Receiver
from tenants.models import Tenant

from .people import People, on_each_screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OLD = "What you see may be old: the server does not answer."


@on_each_screen
def test_a_page_says_that_it_is_not_live_any_more(people: People, acme: Tenant, receiver: Receiver) -> None:
    target = make_integration(acme, receiver.url, name="Orders")
    make_item(acme, reference_id="RMA-1")
    vera = people.join("viewer", acme)
    vera.goes_to("Deliveries")
    vera.sees("⚠ Pending")

    def breaks(route: Any) -> None:
        if route.request.headers.get("hx-request"):
            route.fulfill(status=502, body="<h1>Bad gateway</h1>")
        else:
            route.continue_()

    with vera.announced(502):
        vera.window.route("**/console/deliveries/**", breaks)
        vera.waits(5)
        vera.sees(OLD)
    assert "Bad gateway" not in vera.window.content()
    vera.sees("RMA-1", "⚠ Pending")
    vera.window.unroute("**/console/deliveries/**")
    drain(target.pk)
    vera.waits(5)
    vera.sees("✓ Synced")
    vera.no_longer_sees(OLD)
