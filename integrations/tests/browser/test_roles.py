"""A manager gives somebody another role, and that person's pages change with their next click."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from integrations.models import AuditEntry
from integrations.tests.factories import make_integration
from tenants.models import Membership, Tenant

from .people import People, Person, on_each_screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def gives(manager: Person, role: str, whom: str) -> None:
    """Choose the role in the list of people, and save that line."""
    manager.goes_to("People")
    manager.chooses(f"Role of {whom}", role.capitalize())
    manager.window.get_by_role("row").filter(has_text=whom).get_by_role("button", name="Save").click()


@on_each_screen
@pytest.mark.parametrize("who", ["manager", "root"])
def test_a_new_role_changes_somebodys_pages(people: People, acme: Tenant, who: str) -> None:
    make_integration(acme, name="Orders")
    Membership.objects.create(tenant=acme, user=User.objects.create_user("rita"), role="manager")  # one stays
    chief = people.join(who, acme)
    vera = people.join("viewer", acme)
    vera.goes_to("Integrations")
    vera.clicks("Orders")
    vera.sees("Look at everything here.")
    vera.is_not_offered("Pause")

    gives(chief, "operator", "vera")
    chief.sees("vera is operator now.")
    vera.opens_again()
    vera.is_offered("Send test event", "Pause")
    vera.is_not_offered("Rotate signing secret")
    vera.has_no_entries("Secrets", "Keys", "Audit")

    gives(chief, "manager", "vera")
    chief.sees("vera is manager now.")
    vera.opens_again()
    vera.is_offered("Rotate signing secret", "Delete")
    vera.no_longer_sees("What takes another role")
    vera.has_entries("Secrets", "Keys", "Audit")
    vera.goes_to("Audit")
    vera.sees("changed role", "manager")

    # What they were shown before is refused with words, not with an error.
    vera.goes_to("Integrations")
    vera.clicks("Orders")
    vera.is_offered("Pause")
    gives(chief, "viewer", "vera")
    chief.sees("vera is viewer now.")
    with vera.announced(403):
        vera.clicks("Pause")
        vera.sees("You may not do this", "You need the role operator to pause, resume and re-enable an integration.")
    assert [*AuditEntry.objects.filter(action="changed role").values_list("actor", flat=True)] == [chief.name] * 3


@on_each_screen
def test_the_last_manager_stays_one_and_adds_others(people: People, acme: Tenant) -> None:
    User.objects.create_user("pete")
    mona = people.join("manager", acme)
    gives(mona, "viewer", "mona")
    mona.sees("mona is the only manager of Acme Corp")
    assert Membership.objects.get(user__username="mona").role == "manager"
    mona.fills("Account", "nobody at all")
    mona.clicks("Add", exact=True)
    mona.sees("There is no account")
    mona.fills("Account", "pete")
    mona.chooses("Role", "Operator")
    mona.clicks("Add", exact=True)
    mona.sees("pete is added as operator.")
    mona.clicks("Remove pete")
    mona.sees("Remove pete from Acme Corp?")
    mona.clicks("Remove", exact=True)
    mona.sees("pete does not work for Acme Corp any more.")


@on_each_screen
def test_who_may_not_give_roles_reads_who_may(people: People, acme: Tenant) -> None:
    mona = people.join("manager", acme)
    words = "say who works for the tenant, and as what"
    for who in ("viewer", "operator"):
        someone = people.join(who, acme)
        someone.goes_to("People")
        someone.sees("mona", "Manager")
        someone.is_told_why("manager", to=words)
        someone.is_not_offered("Save", "Add", "Remove")
        mona.goes_to("People")
        removal = mona.window.get_by_role("link", name=f"Remove {someone.name}").get_attribute("href")
        ask = "These people can give you another one: mona."
        someone.is_refused(removal.removeprefix("/console/"), "manager", to=words, ask=ask)
