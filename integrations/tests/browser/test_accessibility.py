"""Every page of the console under axe: at a desk and on a phone, light and dark, for people who see all and less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from app.demo.data.fill import fill
from app.demo.pages import pages
from integrations.tests.services import wait_until
from tenants.models import Tenant

from .people import FITS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]

DESK, PHONE = (1400, 900), (390, 844)
# Each size and each scheme once for whoever sees most; the other two pairs for people who see less.
MOST, OTHERS = ((DESK, "light"), (PHONE, "dark")), ((DESK, "dark"), (PHONE, "light"))
# Empty lists and refusals, beside the pages with something on them.
STATES = (
    "events/?type=workitem_deleted",
    "inbound/?state=duplicate",
    "pushes/?order=nothing",
    "events/999999999/",
    "keys/",
)
WITHOUT_SIGN_IN = ("sign-in/",)


def _context(browser: Any, server: str, username: str) -> Any:
    context = browser.new_context()
    if username:
        client = Client()
        client.force_login(User.objects.get(username=username))
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": server}])
    return context


def _findings(page: Any, axe: Any, looks: Sequence[tuple[tuple[int, int], str]]) -> Iterator[str]:
    """Yield what axe finds on the page that is open, at each size and in each scheme."""
    for (width, height), scheme in looks:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        try:  # charts are drawn anew a moment after the size has changed
            wait_until(lambda: page.evaluate(FITS), timeout=5)
        except pytest.fail.Exception:
            yield f"{width} px: wider than the screen"
        for violation in axe.run(page).response["violations"]:
            nodes = [node["html"][:140] for node in violation["nodes"][:3]]
            yield f"{width} px, {scheme}: {violation['id']} ({violation['help']}): {'; '.join(nodes)}"


def test_axe_finds_nothing(server: str, chromium: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    fill(server, pace=0.1)
    User.objects.create_superuser("root", password="a long password")
    acme = Tenant.objects.get(name="Acme Corp")
    root = Client()
    root.force_login(User.objects.get(username="root"))
    opened = {page.url: root.get(page.url) for page in pages(acme)}
    # Neither buttons, which take no GET, nor files.
    paths = [
        url
        for url, answer in opened.items()
        if answer.status_code != 405 and "attachment" not in answer.headers.get("Content-Disposition", "")
    ]
    home = reverse("console:overview")
    everything = [*paths, *(home + state for state in STATES)]
    axe = Axe()
    found: dict[str, list[str]] = {}
    for username, urls, looks in (
        ("root", everything, MOST),
        ("acme-viewer", [*paths, home + "keys/"], OTHERS[:1]),
        ("", [home + path for path in WITHOUT_SIGN_IN], (*MOST, *OTHERS)),
    ):
        context = _context(chromium, server, username)
        page = context.new_page()
        for url in urls:
            answer = page.goto(server + url)
            assert answer.status < 500, url
            for finding in _findings(page, axe, looks):
                found.setdefault(f"{finding}", []).append(f"{username or 'nobody'} {url}")
        context.close()
    assert not found, "\n".join(
        f"{what}\n      on {', '.join(sorted(set(where))[:4])}" for what, where in found.items()
    )
