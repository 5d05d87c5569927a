"""The project of this folder, in an empty environment, with the wheel installed and set up as the pages say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "docs" / name for name in ("use-it-in-your-project.md", "api.md")]
THEIRS = Path(__file__).with_name("project")
SCRIPTS = Path(__file__).with_name("scripts")
_FILE = re.compile(r"# ([\w/]+\.py)(, at the end)?\n")
PIP = ("-m", "pip", "--disable-pip-version-check", "-q")


def blocks() -> list[tuple[str, str]]:
    """Return the pages' files: (path in the project, text), in their order."""
    text = "\n".join(page.read_text() for page in PAGES)
    found = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(match[1], block) for block in found if (match := _FILE.match(block))]


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout into `folder`, as `make wheel` does."""
    _run([sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_environment(folder: Path, *packages: str) -> Path:
    """Make an empty virtual environment with `packages`; return its Python."""
    _run([sys.executable, "-m", "venv", str(folder)])
    python = folder / "bin" / "python"
    _run([str(python), *PIP, "install", *packages])
    return python


def _run(words: list[str], **options: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


class HostProject:
    """Their project in `folder`, run by `python`.

    Args:
        env: DATABASE and BROKER.
        allowed: hosts that it may call although they are private.
    """

    def __init__(self, folder: Path, python: Path, env: Mapping[str, str], allowed: list[str]) -> None:
        self.folder, self.python = folder, python
        shutil.copytree(THEIRS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings", **env}
        self.manage("makemigrations", "accounts", "billing", "tenants", "tasks")  # what they had before
        for path, text in blocks():
            place = folder / path
            text = text.replace('    # path("", include', '    path("", include')  # all that may be mounted
            place.write_text(place.read_text() + text if "at the end" in text.split("\n", 1)[0] else text)
        with (folder / "project" / "settings.py").open("a") as file:
            file.write(f"INTEGRATIONS = {{'ALLOWED_HOSTS': {allowed!r}}}\n")

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py, warnings are errors; return what it printed."""
        return _run([str(self.python), "-W", "error", "manage.py", *arguments], cwd=self.folder, env=self.env)

    def facts(self, script: str, **given: Any) -> Any:
        """Run one of `scripts` inside of the project, with `given`; return what it found out."""
        words = [str(self.python), "-P", "-W", "error", str(SCRIPTS / script), json.dumps(given)]
        env = {**self.env, "PYTHONPATH": str(self.folder)}
        return json.loads(_run(words, cwd=self.folder, env=env).splitlines()[-1])

    def start_worker(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the worker of the pages, and one for their own queue; whoever calls ends it."""
        words = ["worker", "-Q", "theirs,deliveries,slow", "--pool", "threads", "--concurrency", "4", "-l", "INFO"]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [str(self.python), "-u", "-m", "celery", "-A", "project", *words],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while b" ready." not in log.read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)
        return process
