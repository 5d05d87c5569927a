"""docs/moving-from-django-bapp-connectors.md, from the published package with rows in its tables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from app.embedded_broker import PROJECT

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.django_db]

PAGE = (PROJECT / "docs" / "moving-from-django-bapp-connectors.md").read_text()
MODELS, MIGRATION = (
    re.sub(r"\A# .*\n", "", block) for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
)
SETTINGS = """
import json, os
SECRET_KEY = "the same before and after"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", *{apps}, "shop"]
DATABASES = {{"default": json.loads(os.environ["DATABASE"])}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
ROOT_URLCONF = "project.urls"
INTEGRATIONS_TENANT_MODEL = "shop.Company"
INTEGRATIONS = {{"CONNECTION_MODEL": "shop.Connection", "WEBHOOK_EVENT_MODEL": "shop.WebhookEvent"}}
"""
BEFORE = """
import django; django.setup()
from shop.models import *
for n in range(3):
    one = Connection(
        company=Company.objects.create(name=str(n)), config={"n": n},
        provider_family="shop", provider_name="woocommerce",
    )
    one.credentials = {"consumer_key": f"ck-{n}"}
    one.save()
    SyncState.objects.create(connection=one, resource_type="orders", cursor=f"c-{n}", status="syncing")
    ExecutionLog.objects.create(connection=one, action="get_orders", duration_ms=7)
    for status in ("processed", "received"):
        WebhookEvent.objects.create(
            connection=one, provider="woocommerce", event_type="order.created", idempotency_key=f"{status}-{n}",
            payload={"id": n}, status=status,
        )
import datetime
Connection.objects.update(created_at=datetime.datetime(2024, 5, 6, tzinfo=datetime.timezone.utc))
WebhookEvent.objects.update(created_at=datetime.datetime(2024, 5, 7, tzinfo=datetime.timezone.utc))
"""
AFTER = """
import django; django.setup()
import json
from shop.models import *
print(json.dumps({
    "connections": [
        [one.credentials, one.config, str(one.public_id), str(one.created_at), one.is_enabled]
        for one in Connection.objects.order_by("pk")
    ],
    "states": list(SyncState.objects.order_by("pk").values_list("cursor", "status")),
    "logs": list(ExecutionLog.objects.values_list("action", "duration_ms")),
    "webhooks": [
        [one.status, str(one.received_at), one.payload["id"], one.error, one.next_attempt_at]
        for one in WebhookEvent.objects.order_by("pk")
    ],
}))
"""


class Host:
    """A project in a folder; its database is of the kind that the tests run on."""

    def __init__(self, folder: Path, database: dict[str, Any]) -> None:
        self.folder = folder
        for package in ("project", "shop"):
            (folder / package).mkdir()
            (folder / package / "__init__.py").touch()
        (folder / "project" / "urls.py").write_text("urlpatterns = []\n")
        self.env = {
            "PATH": os.environ["PATH"],
            "DATABASE": json.dumps(database),
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "PYTHONPATH": os.pathsep.join([str(folder), str(PROJECT)]),
        }

    def write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def manage(self, *arguments: str) -> str:
        return self.run("-m", "django", *arguments)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        yield Host(tmp_path, {"ENGINE": settings["ENGINE"], "NAME": str(tmp_path / "db.sqlite3")})
        return
    import psycopg

    name = f"moving_{uuid.uuid4().hex}"
    server = {key.lower(): settings[key] for key in ("HOST", "PORT", "USER", "PASSWORD") if settings[key]}
    with psycopg.connect(dbname="postgres", autocommit=True, **server) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            wanted = {key: settings[key] for key in ("ENGINE", "HOST", "PORT", "USER", "PASSWORD")}
            yield Host(tmp_path, {**wanted, "NAME": name})
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_rows_of_the_published_package_move(host: Host) -> None:
    host.write("project/settings.py", SETTINGS.format(apps=["django_bapp_connectors"]))
    old = MODELS.replace("integrations.models", "django_bapp_connectors.models")
    host.write("shop/models.py", re.sub(r"    (created|updated)_at = .*\n", "", old))
    host.manage("makemigrations", "shop", "-v0")
    host.manage("migrate", "-v0")
    host.run("-c", BEFORE)

    host.write("project/settings.py", SETTINGS.format(apps=["django_celery_beat", "integrations"]))
    host.write("shop/models.py", MODELS)
    host.write("shop/migrations/0002_move.py", MIGRATION)
    made = host.manage("makemigrations", "shop")
    assert "created_at" not in made and "Add field public_id" not in made
    host.manage("migrate", "-v0")
    assert "No changes detected" in host.manage("makemigrations", "--check", "--dry-run")
    host.manage("rotate_encryption")

    found = json.loads(host.run("-c", AFTER))
    assert [one[:2] for one in found["connections"]] == [[{"consumer_key": f"ck-{n}"}, {"n": n}] for n in range(3)]
    assert len({one[2] for one in found["connections"]}) == 3
    assert {tuple(one[3:]) for one in found["connections"]} == {("2024-05-06 00:00:00+00:00", True)}
    assert found["states"] == [[f"c-{n}", "idle"] for n in range(3)]
    assert found["logs"] == [["get_orders", 7]] * 3
    error = "not processed before the move; have it sent again"
    assert found["webhooks"] == [
        [status, "2024-05-07 00:00:00+00:00", n, text, None]
        for n in range(3)
        for status, text in (("processed", ""), ("failed", error))
    ]
