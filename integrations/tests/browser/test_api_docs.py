"""The page that describes the API in a real Chromium: nothing from elsewhere, nothing refused by its policy."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User

from integrations.tests.api_world import World
from tenants.models import Membership

SLOW = 60_000  # ms: the page's script is large
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1400, 390])
def test_the_page_works_without_a_network_and_a_sign_in(server: str, browser_page: Any, width: int) -> None:
    page = browser_page
    page.set_default_timeout(SLOW)
    page.set_viewport_size({"width": width, "height": 900})
    refused: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    answer = page.goto(f"{server}/api/v1/docs")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page.get_by_text("What the console does, for programs.").wait_for()
    page.locator("[data-tag='Work items']").click()
    page.get_by_text("Make a work item", exact=True).click()
    page.get_by_text('"reference_id": "RMA-124"').first.wait_for()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("getComputedStyle(document.body).backgroundColor === 'rgb(28, 32, 34)'")
    assert page.locator("body").get_attribute("data-token") == ""
    assert refused == []
    assert {host for host in hosts if host} == {urlsplit(server).netloc}


def test_whoever_is_signed_in_tries_a_call_from_the_page(server: str, browser_page: Any) -> None:
    world, page = World("acme"), browser_page
    page.set_default_timeout(SLOW)
    user = User.objects.create_user("mia", password="a long password")
    Membership.objects.create(tenant=world.tenant, user=user, role="manager")
    page.goto(f"{server}/console/sign-in/")
    page.fill("[name=username]", "mia")
    page.fill("[name=password]", "a long password")
    page.locator("main button").click()
    page.wait_for_url("**/console/**")
    page.goto(f"{server}/api/v1/docs")
    page.locator("[data-tag=Integrations]").click()
    page.get_by_text("Pause one integration", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_placeholder("public_id").fill(str(world.integration.public_id))
    page.get_by_role("button", name="Execute").click()
    page.get_by_text('"state": "paused"').first.wait_for()
