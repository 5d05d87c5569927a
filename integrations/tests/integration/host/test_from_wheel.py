"""The library as a team installs it: the wheel, in an empty environment, in a project of its own.

Their tenant model has a UUID key, their invoice an integer one; their users have no user name, and apps of theirs are
called `tenants` and `tasks` (hostapp/project).
"""

from __future__ import annotations

import json
import os
import signal
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection

from integrations.tests import services
from integrations.tests.hostapp.from_wheel import HostProject, build_wheel, make_environment
from integrations.tests.receiver import Receiver, Request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.services,
    pytest.mark.timeout(600),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a team runs it on PostgreSQL"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", f"{wheel}[api,postgres]", "redis")


@pytest.fixture
def database() -> Iterator[str]:
    """Their database, as JSON for their settings."""
    import psycopg

    settings = connection.settings_dict
    name = f"host_{uuid.uuid4().hex}"
    server = {key.lower(): settings[key] for key in ("HOST", "PORT", "USER", "PASSWORD") if settings[key]}
    with psycopg.connect(dbname="postgres", autocommit=True, **server) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            wanted = {key: settings[key] for key in ("ENGINE", "HOST", "PORT", "USER", "PASSWORD")}
            yield json.dumps({**wanted, "NAME": name})
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def host(tmp_path: Path, python: Path, database: str, receiver: Receiver) -> Iterator[HostProject]:
    broker = services.redis_broker()
    env = {"DATABASE": database, "BROKER": broker.url, "BROKER_OPTIONS": json.dumps(broker.options)}
    try:
        yield HostProject(tmp_path / "host", python, env, [receiver.netloc])
    finally:
        broker.flush()


def test_the_wheel_holds_the_library_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in names}
    assert {each for each in packages if ".dist-info" not in each} == {"integrations"}
    assert not [name for name in names if "/tests/" in name or "/workitem" in name]
    for needed in ("py.typed", "static/integrations/admin.css", "connectors/kinds/teams/connector.yaml",
                   "templates/integrations/console/frame.html", "migrations/0001_initial.py",
                   "static/integrations/console/vendor/htmx-4.0.1.min.js"):  # fmt: skip
        assert f"integrations/{needed}" in names


def told(requests: list[Request], where: str, pk: int) -> list[tuple[str, str, bool]]:
    """What one receiver heard of one invoice: (event type, total, paid), as it came."""
    heard = [each for each in requests if each.path.endswith(f"/{where}") and each.json["invoice"]["id"] == pk]
    return [(each.json["event_type"], each.json["invoice"]["total"], each.json["invoice"]["paid"]) for each in heard]


def test_a_team_uses_it_as_the_page_says(host: HostProject, receiver: Receiver, tmp_path: Path) -> None:
    host.manage("migrate")
    assert "No changes detected" in host.manage("makemigrations", "--check", "--dry-run")
    assert "no issues" in host.manage("check")
    worker = host.start_worker(tmp_path / "worker.log")
    try:
        facts = host.facts("invoice.py", url=receiver.url)
        requests = receiver.wait_for(9)  # one is a test event
        services.wait_until(lambda: f"{facts['task']}] succeeded" in (tmp_path / "worker.log").read_text(), 30)
        worker.terminate()  # warm: what it has begun is settled
        worker.wait(60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(15)
    assert {each.json["tenant"]["name"] for each in requests} == {"Acme", "Globex"}
    assert told(requests, "acme", facts["invoice"]) == [
        ("invoice_created", "12.50", False),
        ("invoice_updated", "13.00", False),
        ("invoice_updated", "13.00", True),
        ("invoice_deleted", "13.00", True),  # it moved to the other account
    ]
    assert told(requests, "globex", facts["invoice"]) == [
        ("invoice_created", "13.00", True),
        ("invoice_deleted", "13.00", True),
    ]
    assert told(requests, "acme", facts["kept"]) == [("invoice_created", "0.00", False)]
    assert next(each for each in requests if each.path.endswith("/acme")).json["tenant"]["id"] == facts["account"]
    assert facts["connector"] == "webhook"
    assert facts["changed by"] == "ann@example.com"  # their users have no user name
    assert facts["seen"] == {"own": True, "other": False, "own page": True, "other page": False}
    assert facts["api"] == {"mine": ["Hook of Acme"], "made": 201, "made for another": 422, "invoices": ["INV-8"]}
    assert facts["boss"] == {"own": True, "other": True, "own page": True, "other page": True}
    left = host.facts("delete_account.py")
    assert left.pop("delivered for") == ["Acme", "Globex"]
    assert left == {"integrations": 1, "events": 3, "syncs": 3, "lanes": 1, "invoices": 1, "named in the log": True}


THEIR_OWN = {
    "crm/__init__.py": "",
    "crm/integrations/__init__.py": "",
    "crm/integrations/models.py": (
        "from django.db import models\n\n\nclass TenantIntegration(models.Model):\n    name = models.TextField()\n"
    ),
    "project/outbox.py": (
        "from integrations.apps import IntegrationsConfig\n\n\n"
        'class OutboxConfig(IntegrationsConfig):\n    label = "outbox"\n'
    ),
}


def test_a_team_may_have_an_app_called_integrations(host: HostProject, receiver: Receiver) -> None:
    for path, text in THEIR_OWN.items():
        (host.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (host.folder / path).write_text(text)
    with (host.folder / "project" / "settings.py").open("a") as file:
        file.write('INSTALLED_APPS.remove("integrations")\n')
        file.write('INSTALLED_APPS += ["project.outbox.OutboxConfig", "crm.integrations"]\n')
    host.manage("makemigrations", "integrations")  # theirs
    host.manage("migrate")
    assert "No changes detected" in host.manage("makemigrations", "--check", "--dry-run")
    assert "no issues" in host.manage("check")
    facts = host.facts("invoice.py", url=receiver.url)
    assert facts["seen"] == {"own": True, "other": False, "own page": True, "other page": False}
    assert host.facts("delete_account.py")["integrations"] == 1
