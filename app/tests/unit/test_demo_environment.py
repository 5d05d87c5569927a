"""What is meant to be thrown away never obeys an installation's settings; any terminal will do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.demo.environment import OF_AN_INSTALLATION, allowed_hosts, make_own
from app.embedded_broker import PROJECT

PRODUCTION = """
SECRET_KEY=of-the-installation
ENCRYPTION_MASTER_KEY=
ALLOWED_HOSTS=app.example.com
DATABASE_URL=postgres://outbox:outbox@db.example.com:5432/outbox
CELERY_BROKER_URL=redis://broker.example.com:6379/0
HTTPS=1
"""
SHOW = """
import os
from pathlib import Path
{before}
from app.demo import settings as found
print(found.DATABASES["default"]["NAME"], found.DATABASES["default"]["HOST"] or "-", found.SECRET_KEY,
      found.CELERY_BROKER_URL, found.CELERY_RESULT_BACKEND, found.SECURE_SSL_REDIRECT)
"""


def python(code: str, **environment: str) -> str:
    env = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("is_exported", [False, True])
def test_the_demo_has_a_database_and_keys_of_its_own(tmp_path: Path, is_exported: bool) -> None:
    file = tmp_path / "env"
    file.write_text(PRODUCTION)
    exported = dict(line.split("=", 1) for line in PRODUCTION.split()) if is_exported else {}
    before = f"from app.demo.environment import make_own; make_own(os.environ, Path({str(tmp_path)!r}))"
    shown = python(SHOW.format(before=before), ENV_FILE=str(file), **exported)
    assert "example.com" not in shown and "of-the-installation" not in shown
    assert str(tmp_path / "db.sqlite3") in shown
    # The same file is what an installation obeys.
    assert "db.example.com of-the-installation" in python(SHOW.format(before=""), ENV_FILE=str(file))


def test_the_demo_leaves_out_all_that_the_settings_read(tmp_path: Path) -> None:
    source = (PROJECT / "app" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    assert read - set(OF_AN_INSTALLATION) == {"LOG_LEVEL", "TEST_DATABASE"}
    environment = dict.fromkeys(read, "x") | {"INTEGRATIONS_PUBLIC_URL": "https://app.example.com"}
    make_own(environment, tmp_path)
    own = {"SECRET_KEY", "DATABASE_URL", "CELERY_RESULT_BACKEND", "ENV_FILE", "LOG_LEVEL", "TEST_DATABASE"}
    assert set(environment) == own


def test_a_database_and_a_broker_can_be_named_for_the_demo(tmp_path: Path) -> None:
    environment = {"DEMO_DATABASE_URL": "postgres://localhost/demo", "DEMO_BROKER_URL": "redis://localhost/5"}
    make_own(environment, tmp_path)
    assert environment["DATABASE_URL"] == "postgres://localhost/demo"
    assert environment["CELERY_BROKER_URL"] == "redis://localhost/5"


def test_the_demo_may_call_an_n8n_and_what_is_named_for_it() -> None:
    assert "localhost:5678" in allowed_hosts({})
    named = allowed_hosts({"DEMO_ALLOWED_HOSTS": "10.0.0.7:8443, nas:80,"})
    assert named[-2:] == ["10.0.0.7:8443", "nas:80"]


def test_tests_do_not_read_an_installations_file() -> None:
    assert os.environ["ENV_FILE"] == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_terminal_that_cannot_print_our_signs_ends_nothing(encoding: str) -> None:
    code = "from app.terminal import print_anywhere; print_anywhere(); print('Starting … ✓ → done')"
    assert "done" in python(code, PYTHONIOENCODING=encoding)
