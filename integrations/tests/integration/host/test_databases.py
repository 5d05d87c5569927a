"""A host's databases that have none of our tables, or not yet."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[4]
SETTINGS = """
from app.settings import *

DATABASES = {
    name: {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR_OF_TEST + "/" + name}
    for name in ("default", "other")
}
DATABASE_ROUTERS = ["host_settings.Router"]


class Router:
    def allow_migrate(self, db, app_label, **hints):
        return (db == "other") == (app_label == "sessions")
"""


@pytest.mark.parametrize(
    ("arguments", "database"),
    [
        pytest.param(["--database", "other"], "other", id="a database that a router keeps for others"),
        pytest.param(["admin", "zero"], "default", id="an empty database, and another app alone"),
    ],
)
def test_migrate_of_what_has_none_of_our_tables(arguments: list[str], database: str, tmp_path: Path) -> None:
    (tmp_path / "host_settings.py").write_text(SETTINGS.replace("BASE_DIR_OF_TEST", repr(str(tmp_path))))
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "host_settings",
        "ENV_FILE": "",
        "CELERY_BROKER_URL": "memory://",
    }
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", *arguments],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / database) as tables:
        found = {name for (name,) in tables.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert found - {"sqlite_sequence"} <= {"django_migrations", "django_session"}
