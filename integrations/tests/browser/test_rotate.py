"""A signing secret is rotated: seen once, both sign for a while, then the old one proves nothing any more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from integrations.database import clock
from integrations.delivery.drain import drain
from integrations.models import TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_item
from integrations.tests.receiver import Receiver
from tenants.models import Tenant

from .people import People, on_each_screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BOTH = "The previous one signs too until"


@on_each_screen
@pytest.mark.parametrize("who", ["manager", "root"])
def test_the_old_secret_signs_beside_the_new_one_for_a_while(
    people: People, acme: Tenant, receiver: Receiver, who: str
) -> None:
    target = make_integration(acme, receiver.url, name="Orders", events=("workitem_created",))
    someone = people.join(who, acme)
    someone.goes_to("Integrations")
    someone.clicks("Orders")
    someone.clicks("Rotate signing secret")
    someone.sees("For 24 hours the present secret signs beside it")
    someone.fills("Secret of your own choice", "too short")
    someone.clicks("Rotate the secret")
    assert "whsec_" in someone.reads("#secret-error")
    someone.fills("Secret of your own choice", "")
    someone.clicks("Rotate the secret")
    someone.sees("Copy it now: this page shows it once.", "The previous secret signs too until")
    new = someone.reads("#signing-secret")
    someone.clicks("Copy")
    someone.window.locator("button.copied").wait_for()
    someone.opens_again()
    someone.sees("nobody can see it again")
    assert new not in someone.window.content()

    make_item(acme, reference_id="RMA-1")
    drain(target.pk)
    assert proves(new, receiver) and proves(SECRET, receiver)
    someone.goes_to("Secrets")
    someone.sees("signs", BOTH)
    someone.goes_to("Integrations")
    someone.clicks("Orders")
    someone.sees("on; the previous secret signs too until")

    end_the_overlap(target)
    make_item(acme, reference_id="RMA-2")
    drain(target.pk)
    assert proves(new, receiver) and not proves(SECRET, receiver)
    someone.goes_to("Secrets")
    someone.sees("signs")
    someone.no_longer_sees(BOTH)
    someone.goes_to("Audit")
    someone.sees("rotated")


def proves(secret: str, receiver: Receiver) -> bool:
    """Tell whether the last request is signed with `secret`, as a receiver would find out."""
    last = receiver.requests[-1]
    try:
        Webhook(secret).verify(last.body, last.headers)
    except WebhookVerificationError:
        return False
    return True


def end_the_overlap(integration: TenantIntegration) -> None:
    """Make the old secret's time be over, as if its hours had passed."""
    integration.refresh_from_db()
    newest, old = integration.credentials["signing_keys"]
    old = {**old, "until": (clock.now() - timedelta(seconds=1)).isoformat()}
    integration.credentials = {**integration.credentials, "signing_keys": [newest, old]}
    integration.save()


@on_each_screen
def test_who_may_not_rotate_reads_why_and_whom_to_ask(people: People, acme: Tenant, receiver: Receiver) -> None:
    target = make_integration(acme, receiver.url, name="Orders")
    people.join("manager", acme)
    ask, own = "These people can give you another one: mona.", f"integrations/{target.public_id}/"
    for who in ("viewer", "operator"):
        someone = people.join(who, acme)
        someone.goes_to("Integrations")
        someone.clicks("Orders")
        someone.sees("What takes another role", "Enter, rotate and see secrets")
        someone.is_not_offered("Rotate", "Delete")
        someone.has_no_entries("Secrets", "Keys", "Audit")
        for path in ("secrets/", f"{own}rotate/", f"{own}secret/"):
            someone.is_refused(path, "manager", to="enter, rotate and see secrets", ask=ask)
        someone.is_refused(f"{own}delete/", "manager", to="delete integrations", ask=ask)
