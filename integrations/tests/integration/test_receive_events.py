"""The receivers of docs/receive-events.md, run as they stand there: they verify, drop copies, and keep the order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integrations.tests.services import missing, wait_until
from integrations.transport.signing import generate_secret, sign

PAGE = Path(__file__).resolve().parents[3] / "docs/receive-events.md"
SECRET = generate_secret()

SETTINGS = """
import os
SECRET_KEY = "of the receiver"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["receiving"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["RECEIVED"]}}
ROOT_URLCONF = "urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
URLS = "from django.urls import path\nfrom receiving.views import receive\nurlpatterns = [path('events', receive)]\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def blocks(language: str) -> dict[str, str]:
    """Return {file: text} of the page's blocks, which begin with the name of their file."""
    found = re.findall(rf"```{language}\n(?:#|//) ([\w./]+)[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(found)


@contextmanager
def running(words: list[str], folder: Path, pattern: str, **more: str) -> Iterator[str]:
    """Run a receiver in `folder` until the block ends; give its address, whose port `pattern` finds in what it says."""
    log = folder / "log"
    env = {**os.environ, "WEBHOOK_SECRET": SECRET, "RECEIVED": str(folder / "received.sqlite3"), **more}
    with log.open("w") as out, subprocess.Popen(words, cwd=folder, env=env, stdout=out, stderr=out) as process:
        try:
            port = wait_until(lambda: re.search(pattern, log.read_text()), timeout=60)[1]
            yield f"http://127.0.0.1:{port}/events"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def django_receiver(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "receiving").mkdir()
    (tmp_path / "receiving/__init__.py").touch()
    for name, text in blocks("python").items():
        if name.startswith("receiving/"):
            (tmp_path / name).write_text(text)
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "urls.py").write_text(URLS)
    (tmp_path / "wsgi.py").write_text(
        "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
    )
    more = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(tmp_path)}
    env = {**os.environ, **more, "RECEIVED": str(tmp_path / "received.sqlite3")}
    migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v0"]
    subprocess.run(migrate, cwd=tmp_path, env=env, check=True, timeout=60)
    words = [sys.executable, "-m", "gunicorn", "wsgi", "--bind", "127.0.0.1:0"]
    with running(words, tmp_path, r"Listening at: http://127\.0\.0\.1:(\d+)", **more) as address:
        yield address


@pytest.fixture
def fastapi_receiver(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "receiver.py").write_text(blocks("python")["receiver.py"])
    words = [sys.executable, "-m", "uvicorn", "receiver:app", "--port", "0"]
    with running(words, tmp_path, r"running on http://127\.0\.0\.1:(\d+)") as address:
        yield address


@pytest.fixture
def express_receiver(tmp_path: Path) -> Iterator[str]:
    if not (shutil.which("node") and shutil.which("npm")):
        missing("Node.js is not installed")
    (tmp_path / "receiver.mjs").write_text(blocks("javascript")["receiver.mjs"])
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "express@5.3.0", "standardwebhooks@1.1.1"]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    if done.returncode:
        missing(f"npm could not install express: {done.stderr[-300:]}")
    with running(["node", "receiver.mjs"], tmp_path, r"port (\d+)", PORT="0") as address:
        yield address


def post(
    address: str, message_id: str, sequence: int, *, item: int | None = 7, body: bytes = b"", secret: str = SECRET
) -> int:
    """Send an event as we do, or `body` under its signature; return the status of the answer."""
    event: dict[str, object] = {"event_type": "workitem_updated"} if item else {"event_type": "test", "test": True}
    signed = json.dumps(event | ({"workitem": {"id": item, "n": sequence}} if item else {})).encode()
    sent, moment = body or signed, int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": sign(message_id, moment, signed, [secret]),
        "webhook-sequence": str(sequence),
    }
    request = urllib.request.Request(address, data=sent, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("name", ["django_receiver", "fastapi_receiver", "express_receiver"])
def test_a_receiver_verifies_drops_copies_and_keeps_the_order(name: str, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(name)
    assert post(address, "evt_5", 5) == 202
    assert post(address, "evt_5", 5) == 200  # a copy
    assert post(address, "evt_3", 3) == 200  # late: nothing to be done
    assert post(address, "evt_6", 6, secret=generate_secret()) == 401
    assert post(address, "evt_6", 6, body=b'{"event_type": "workitem_updated", "workitem": {"id": 8}}') == 401
    assert post(address, "evt_6", 6) == 202
    assert post(address, "evt_4", 4, item=8) == 202  # of another object
    assert post(address, "evt_t", 0, item=None) == 200  # a test event
    if name == "fastapi_receiver":
        import sqlite3

        with sqlite3.connect(request.getfixturevalue("tmp_path") / "received.sqlite3") as database:
            rows = database.execute("SELECT id, done FROM received ORDER BY id").fetchall()
        database.close()
        assert rows == [("evt_3", 1), ("evt_4", 0), ("evt_5", 0), ("evt_6", 0)]
