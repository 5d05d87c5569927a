"""A key or a setting that cannot be used stops every process where it starts, and says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
CANARY = "canary7f3a91"  # neither hex nor long enough


STARTS = pytest.mark.parametrize(
    "command",
    [
        pytest.param(["manage.py", "check"], id="manage.py"),
        pytest.param(["-c", "import app.wsgi"], id="gunicorn"),
        pytest.param(["-m", "celery", "-A", "app", "worker", "-P", "solo"], id="worker"),
    ],
)


def refused(command: list[str], folder: Path, **environment: str) -> str:
    """Start a process that must not start, and return the last line of what it said."""
    done = subprocess.run(
        [sys.executable, *command],
        env={
            **os.environ,
            "CELERY_BROKER_URL": "memory://",
            "DATABASE_URL": f"sqlite:///{folder}/none.sqlite3",
            **environment,
        },
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    said = (done.stdout + done.stderr).decode().strip()
    assert done.returncode
    assert CANARY not in said
    assert "Traceback" not in said or command[0] != "manage.py"
    return said.splitlines()[-1]


@STARTS
def test_nothing_starts_with_a_malformed_key(command: list[str], tmp_path: Path) -> None:
    said = refused(command, tmp_path, ENCRYPTION_MASTER_KEY=CANARY)
    assert "ENCRYPTION_MASTER_KEY has 12 characters; it must be 64 hex digits." in said


@STARTS
def test_nothing_starts_without_the_tenant_model(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "host_settings.py").write_text(
        'from app.settings import *\n\nINTEGRATIONS_TENANT_MODEL = "tenants.Tenent"\n'
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    said = refused(command, tmp_path, DJANGO_SETTINGS_MODULE="host_settings", PYTHONPATH=path)
    assert "INTEGRATIONS_TENANT_MODEL is 'tenants.Tenent', and there is no such model" in said


@STARTS
def test_nothing_starts_with_a_wrong_setting(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "host_settings.py").write_text('from app.settings import *\n\nINTEGRATIONS = {"LEASE_SECONDS": "60"}\n')
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    said = refused(command, tmp_path, DJANGO_SETTINGS_MODULE="host_settings", PYTHONPATH=path)
    assert "INTEGRATIONS_LEASE_SECONDS must be a number above 0 and at most 1000000000, not '60'." in said


def test_no_web_server_starts_with_a_network_that_is_none(tmp_path: Path) -> None:
    said = refused(["-c", "import app.wsgi"], tmp_path, INTEGRATIONS_ALLOWED_NETWORKS="172.18.0.0/33")
    assert "INTEGRATIONS_ALLOWED_NETWORKS): '172.18.0.0/33' is not a subnet such as 172.18.0.0/16" in said


@pytest.mark.parametrize(
    ("name", "allowed"), [("HTTPS", "true or false"), ("DATABASE_POOL_SIZE", "a whole number from 0")]
)
def test_nothing_starts_with_a_wrong_variable(name: str, allowed: str, tmp_path: Path) -> None:
    database = "postgres://nobody@127.0.0.1:1/none"  # it is not asked
    said = refused(["-c", "import app.wsgi"], tmp_path, **{"DATABASE_URL": database, name: "flase"})
    assert f"{name} must be {allowed}, not 'flase'." in said
