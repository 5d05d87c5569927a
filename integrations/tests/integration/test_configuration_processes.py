"""A configuration that one process changes is what the other ones use: with real second processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache as django_cache

from integrations import config
from integrations.configuration import cache
from integrations.models import GitHubConfiguration
from integrations.tests import services

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Obeys one line at a time and answers with one line.
CHILD = """
import sys, django
django.setup()
from django.db import transaction
from integrations import config
from integrations.models import GitHubConfiguration
print("ready", flush=True)
for line in sys.stdin:
    word, _, value = line.strip().partition(" ")
    if word == "read":
        found = config.get_github_config()
        print(f"{found.github_token} {found.enabled}" if found else "None", flush=True)
        continue
    if word == "write":
        row = GitHubConfiguration.objects.get_or_create()[0]
        row.github_token, row.enabled = value, True
        row.save()
    elif word == "delete":
        GitHubConfiguration.objects.all().delete()
    elif word == "write-and-roll-back":
        with transaction.atomic():
            row = GitHubConfiguration.objects.get()
            row.github_token = value
            row.save()
            transaction.set_rollback(True)
    print("done", flush=True)
"""


class Child:
    """Another process with the same database and cache."""

    def __init__(self, cache_url: str, seconds: str) -> None:
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        env |= {
            "DJANGO_SETTINGS_MODULE": "app.settings",
            "DATABASE_URL": services.database_url(),
            "CACHE_URL": cache_url,
            "INTEGRATIONS_CONFIG_CACHE_SECONDS": seconds,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            cwd=services.PROJECT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def __call__(self, order: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    started: list[Child] = []

    def start(cache_url: str, seconds: float = 3600) -> Child:
        started.append(Child(cache_url, str(seconds)))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture(params=["files", "redis"])
def shared_cache(request: Any, tmp_path: Path, settings: Any) -> Iterator[str]:
    """The address of a cache that this process and its children share."""
    if request.param == "files":
        url, backend, place = f"filecache://{tmp_path}", "filebased.FileBasedCache", str(tmp_path)
        settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": place}}
        yield url
        return
    url = services.redis_broker().url
    # Who else uses this server's stamp makes us read once more, and nothing else.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}}
    yield url
    django_cache.delete(cache._key(GitHubConfiguration))


def test_with_a_shared_cache_a_change_is_seen_at_the_next_call(
    shared_cache: str, child: Callable[..., Child], settings: Any
) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "CONFIG_CACHE_SECONDS": 3600.0}
    other = child(shared_cache)
    assert other("read") == "None" and config.get_github_config() is None

    row = GitHubConfiguration.objects.create(enabled=True, github_token="ours-1")
    assert other("read") == "ours-1 True"
    assert other("write theirs-2") == "done"
    found = config.get_github_config()
    assert found is not None and found.github_token == "theirs-2"

    assert other("write-and-roll-back never") == "done"
    assert other("read") == "theirs-2 True"

    row.refresh_from_db()
    row.enabled = False
    row.save()
    assert other("read") == "theirs-2 False"
    assert other("delete") == "done"
    assert config.get_github_config() is None


def test_without_one_a_change_is_seen_when_the_time_is_up(
    child: Callable[..., Child], settings: Any, monkeypatch: Any
) -> None:
    """Each process has a cache of its own: the setting's seconds are the bound."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "CONFIG_CACHE_SECONDS": 3600.0}
    now = 0.0
    monkeypatch.setattr(cache, "monotonic", lambda: now)
    GitHubConfiguration.objects.create(enabled=True, github_token="one")
    assert config.is_github_enabled()
    assert child("locmemcache://")("write two") == "done"
    assert config.get_github_config().github_token == "one"  # type: ignore[union-attr]
    now = 3600.0
    assert config.get_github_config().github_token == "two"  # type: ignore[union-attr]


def test_no_seconds_means_no_waiting(child: Callable[..., Child]) -> None:
    other = child("locmemcache://", seconds=0)
    assert other("read") == "None"
    row = GitHubConfiguration.objects.create(enabled=True, github_token="one")
    assert other("read") == "one True"
    row.delete()
    assert other("read") == "None"
