"""A live server, one Chromium for all tests, and people with windows of it (people.py).

Needs the package playwright and a Chromium (CHROMIUM, else /usr/bin/chromium); without them tests are skipped, and with
REQUIRE_SERVICES=1 they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from pytest_django.live_server_helper import LiveServer

from integrations.tests.factories import make_tenant
from integrations.tests.receiver import Receiver
from integrations.tests.services import missing
from tenants.models import Tenant

from .people import DESK, People, Screen

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """A running Chromium: starting one for each test would take longer than most of them."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright is not installed")
    if not Path(CHROMIUM).exists():
        missing(f"there is no Chromium at {CHROMIUM}")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright keeps an event loop in this thread
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()
        connections.close_all()  # beside playwright's event loop this thread has connections of its own


@pytest.fixture
def server(
    request: pytest.FixtureRequest, chromium: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> Iterator[str]:
    """A live server over plain HTTP, whose integrations may call the receiver; without `broker`, nobody delivers."""
    if "broker" not in request.fixturenames:
        monkeypatch.setattr("integrations.delivery.wakeup.wake", lambda *_, **__: False)
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    # Not pytest-django's live_server: that one is made once, before these settings.
    running = LiveServer("localhost")
    yield running.url
    running.stop()


@pytest.fixture
def screen() -> Screen:
    """A desk's; `on_each_screen` gives both."""
    return DESK


@pytest.fixture
def people(chromium: Any, server: str, screen: Screen) -> Iterator[People]:
    """Whoever uses the console in this test; it fails on what went wrong beside what they looked at."""
    found = People(chromium, server, screen)
    yield found
    found.leave()


@pytest.fixture
def acme(transactional_db: None) -> Tenant:
    """A tenant, beside which there is another one: whoever runs the product has a choice."""
    make_tenant("Umbrella")
    return make_tenant("Acme Corp")


@pytest.fixture
def browser_page(chromium: Any, server: str) -> Iterator[Any]:
    """A bare page, for the admin; fails the test on an error of a script or a refused resource of ours."""
    troubles: list[str] = []
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("response", lambda answer: troubles.append(answer.url) if _is_broken(answer) else None)
    yield page
    context.close()
    assert troubles == []


def _is_broken(answer: Any) -> bool:
    return answer.status >= 400 and not answer.url.endswith("favicon.ico")
