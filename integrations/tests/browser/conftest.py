"""A live server, and a page of a real Chromium beside it.

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

from integrations.tests.receiver import Receiver
from integrations.tests.services import missing

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> Iterator[str]:
    """A live server over plain HTTP, whose integrations may call the receiver."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright keeps an event loop in this thread
    monkeypatch.setattr("integrations.delivery.wakeup.wake", lambda *_, **__: False)  # no broker here
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    # Not pytest-django's live_server: that one is made once, before these settings.
    running = LiveServer("localhost")
    yield running.url
    running.stop()


@pytest.fixture
def browser_page(server: str) -> Iterator[Any]:
    """A page of a fresh browser; fails the test on an error of a script or a refused resource of ours."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright is not installed")
    if not Path(CHROMIUM).exists():
        missing(f"there is no Chromium at {CHROMIUM}")
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("response", lambda answer: troubles.append(answer.url) if _is_broken(answer) else None)
        yield page
        browser.close()
        connections.close_all()  # beside playwright's event loop this thread has connections of its own
    assert troubles == []


def _is_broken(answer: Any) -> bool:
    return answer.status >= 400 and not answer.url.endswith("favicon.ico")
