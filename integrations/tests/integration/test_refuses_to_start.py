"""A key that cannot be used stops every process where it starts, with one sentence that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.portable]

ROOT = Path(__file__).parents[3]
CANARY = "canary7f3a91"  # neither hex nor long enough


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["manage.py", "check"], id="manage.py"),
        pytest.param(["-c", "import app.wsgi"], id="gunicorn"),
        pytest.param(["-m", "celery", "-A", "app", "worker", "-P", "solo"], id="worker"),
    ],
)
def test_nothing_starts_with_a_malformed_key(command: list[str], tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ENCRYPTION_MASTER_KEY": CANARY,
        "CELERY_BROKER_URL": "memory://",
        "DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite3",
    }
    done = subprocess.run([sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, timeout=60)
    said = (done.stdout + done.stderr).decode().strip()
    assert done.returncode
    assert "ENCRYPTION_MASTER_KEY has 12 characters; it must be 64 hex digits." in said.splitlines()[-1]
    assert CANARY not in said
    assert "Traceback" not in said or command[0] != "manage.py"
