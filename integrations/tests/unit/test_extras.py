"""What a project may leave out: an extra that is not installed, an admin page that it does not want."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from integrations import admin, beat_schedule
from integrations.delivery.hints import QUEUE, SLOW_QUEUE
from integrations.tasks import pull_due, pull_one, retry_failed_syncs, send_integration_webhook


@pytest.mark.parametrize(
    ("package", "module", "extra"),
    [
        ("ninja", "integrations.api", "api"),
        ("ninja", "integrations.urls", "api"),
        ("django_celery_beat", "integrations.observability.scheduler", "beat"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(package: str, module: str, extra: str) -> None:
    # In a process of its own: here the package is there, and imported.
    script = (
        "import sys, importlib.util as util, django; find = util.find_spec\n"
        f"util.find_spec = lambda name, *a: None if name.partition('.')[0] == {package!r} else find(name, *a)\n"
        "from django.conf import settings; import app.settings as theirs\n"
        f"theirs.INSTALLED_APPS = [app for app in theirs.INSTALLED_APPS if app != {package!r}]\n"
        f"django.setup(); sys.modules[{package!r}] = None\n"
        f"import {module}\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"pip install 'django-integration-outbox[{extra}]'" in done.stderr.splitlines()[-1], done.stderr


def test_a_page_that_does_not_exist_is_refused(settings: Any) -> None:
    settings.INTEGRATIONS_ADMIN_PAGES = ["integration", "syncs"]
    with pytest.raises(ImproperlyConfigured, match="there is no page 'syncs'; there are integration, sync, "):
        admin.register_pages()


def test_only_the_pages_that_are_named_are_imported(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.INTEGRATIONS_ADMIN_PAGES = ["sync", "log"]
    imported: list[str] = []
    monkeypatch.setattr(admin, "import_module", imported.append)
    admin.register_pages()
    assert [name.removeprefix("integrations.admin.") for name in imported] == ["sync.admin", "log.admin"]


def test_tasks_carry_their_queues() -> None:
    assert {task.queue for task in (send_integration_webhook, retry_failed_syncs, pull_due)} == {QUEUE}
    assert pull_one.queue == SLOW_QUEUE


def test_a_schedule_without_the_database_names_every_periodic_task() -> None:
    entries = beat_schedule(sweep_seconds=5)
    tasks = importlib.import_module("integrations.tasks")
    periodic = {entry["task"].rpartition(".")[2]: entry["schedule"] for entry in entries.values()}
    assert all(callable(getattr(tasks, name)) for name in periodic)
    assert periodic["retry_failed_syncs"] == periodic["process_received_webhooks"] == 5
    assert "delete_marked" in periodic


def test_nothing_is_counted_without_prometheus() -> None:
    script = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from integrations.telemetry.counters import SWEEPS, WAKE_UPS, count_deliveries\n"
        "count_deliveries('webhook', [('delivered', 5, 0.1)]), SWEEPS.inc(), WAKE_UPS.labels('slow', 'sent').inc()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
