"""An endpoint that fails: found from the overview, understood by its exact request, mended, seen to arrive."""

from __future__ import annotations

import pytest

from integrations.database.times import after
from integrations.delivery.drain import drain
from integrations.models import IntegrationSync, TenantIntegration
from integrations.tests.factories import make_integration, make_item
from integrations.tests.receiver import Answer, Receiver, Request
from tenants.models import Tenant

from .people import People, Person, on_each_screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

GONE = Answer(404, b'{"error": "no such workflow"}')


@pytest.fixture
def failing(acme: Tenant, receiver: Receiver) -> TenantIntegration:
    """An integration whose address was changed at the other side: what it is owed fails there."""
    target = make_integration(
        acme, receiver.url, name="Production n8n workflow", headers={"X-Shop": "canary-of-the-shop"}
    )

    def answer(request: Request) -> Answer:
        return Answer(200) if request.path == "/new" else GONE

    receiver.answer_with(answer)
    make_item(acme, reference_id="RMA-1")
    drain(target.pk)
    return target


def finds_out(someone: Person) -> IntegrationSync:
    """Go from the overview to the delivery that failed, and read what was sent and what came back."""
    someone.goes_to("Overview")
    someone.sees("Needs attention", "0 % of 1 attempts")
    someone.clicks("Production n8n workflow")
    someone.sees("What was owed last", "no such workflow")
    someone.clicks("All its deliveries")
    someone.clicks("workitem_created")
    someone.sees("The receiver knows no such address", "no such workflow", "404")
    head = someone.window.get_by_label("Head of the request").first  # the request of the last failure is open
    assert "X-Shop: ***" in head.inner_text()
    someone.clicks("Copy as curl")
    someone.window.locator("button.copied").wait_for()
    assert "canary-of-the-shop" not in someone.window.content()
    curl = someone.window.locator("[id^=curl-]").first.text_content()
    assert curl.startswith("# Set first: WEBHOOK_URL, HEADER_X_SHOP")
    return IntegrationSync.objects.get()


def retries(someone: Person, sync: IntegrationSync) -> None:
    """Send it again at once, and see it arrive without loading the page anew."""
    someone.clicks("Retry")
    someone.sees("1 delivery due now.", "Due now: the first attempt")
    drain(sync.integration_id)
    someone.waits(3)
    someone.sees("delivered, HTTP 200", "Noted on the object")


@on_each_screen
@pytest.mark.parametrize("who", ["manager", "root"])
def test_who_may_mends_the_address(
    people: People, acme: Tenant, receiver: Receiver, failing: TenantIntegration, who: str
) -> None:
    someone = people.join(who, acme)
    sync = finds_out(someone)
    someone.clicks("Settings")
    someone.sees("dots stand for a stored value")
    someone.fills("Webhook URL", receiver.url.replace("/hook", "/new"))
    someone.clicks("Save")
    someone.sees("The settings are saved.")
    someone.opens(f"deliveries/{sync.pk}/")
    retries(someone, sync)
    assert receiver.requests[-1].path == "/new" and receiver.requests[-1].headers["x-shop"] == "canary-of-the-shop"
    someone.goes_to("Overview")
    someone.sees("50.0 % of 2 attempts", "No integration is failing.")
    someone.clicks("Show as a table")
    someone.sees("As a table")


@on_each_screen
def test_an_operator_has_it_mended_there_and_watches_it_arrive(
    people: People, acme: Tenant, receiver: Receiver, failing: TenantIntegration
) -> None:
    olga = people.join("operator", acme)
    sync = finds_out(olga)
    olga.goes_to("Deliveries")
    row = olga.window.locator(f"#delivery-{sync.pk}")
    row.get_by_role("checkbox").check()
    second = make_item(acme, reference_id="RMA-2")
    olga.waits(5)
    olga.sees("RMA-2")  # by itself, and the tick is still there
    assert row.get_by_role("checkbox").is_checked()
    second.delete()
    receiver.answer_with(default=200)  # the workflow is there again
    olga.opens(f"deliveries/{sync.pk}/")
    IntegrationSync.objects.exclude(pk=sync.pk).update(next_attempt_at=after(3600))
    retries(olga, sync)
    olga.clicks("RMA-1")
    olga.sees("What happened, and who heard of it", "Receipts noted on it")


@on_each_screen
def test_a_viewer_understands_it_and_sees_who_can_retry(
    people: People, acme: Tenant, failing: TenantIntegration
) -> None:
    people.join("manager", acme)
    vera = people.join("viewer", acme)
    finds_out(vera)
    vera.is_told_why("operator", to="retry and replay deliveries")
    vera.is_not_offered("Retry", "Replay", "Cancel")
    vera.clicks("Who can give it to you")
    vera.sees("mona", "Manager")
    vera.goes_to("Deliveries")
    vera.is_told_why("operator", to="retry and replay deliveries")
    vera.is_not_offered("Retry", "Replay", "Cancel")
    assert vera.window.get_by_role("checkbox").count() == 0
