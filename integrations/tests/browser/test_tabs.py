"""Tabs that do not fit on the screen."""

from __future__ import annotations

import pytest
from django.urls import reverse

from integrations.tests.factories import make_integration
from tenants.models import Tenant

from .people import PHONE, People

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SIDES = """() => [".tabs", ".tabs [aria-current]"].map((each) => {
  const {left, right} = document.querySelector(each).getBoundingClientRect();
  return [left, right];
})"""


@pytest.mark.parametrize("screen", [PHONE], ids=str)
@pytest.mark.parametrize("name", ["integration", "integration-settings", "integration-history"])
def test_the_tab_that_is_open_is_in_view(people: People, acme: Tenant, server: str, name: str) -> None:
    integration = make_integration(acme)
    someone = people.join("manager", acme)
    someone.window.goto(server + reverse(f"console:{name}", args=[integration.public_id]))
    (begin, end), (left, right) = someone.window.evaluate(SIDES)
    assert begin - 1 <= left < right <= end + 1
    assert someone.window.evaluate("scrollY") == 0
