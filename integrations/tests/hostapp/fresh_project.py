"""A new Django project in an empty folder, set up as docs/your-own-models.md says and no otherwise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "your-own-models.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w/]+\.py)(, at the end)?\n")


def blocks() -> list[str]:
    """Every Python block of the page, in its order."""
    return _BLOCK.findall(PAGE.read_text())


def files() -> dict[str, str]:
    """The blocks that are files, by their path in the project."""
    found = ((_FILE.match(block), block) for block in blocks())
    return {match[1]: block for match, block in found if match}


def examples() -> list[str]:
    """The blocks that are no files: to be run one after the other."""
    return [block for block in blocks() if not _FILE.match(block)]


class FreshProject:
    """The project in `folder`, its tables made; `allowed` are the hosts that it may call although they are private.

    Attributes:
        commands: what makemigrations, migrate and check printed.
    """

    def __init__(self, folder: Path, allowed: list[str]) -> None:
        self.folder = folder
        call_command("startproject", "project", str(folder))
        for app in ("companies", "connectors"):
            (folder / app).mkdir()
            call_command("startapp", app, str(folder / app))
        for path, text in files().items():
            place = folder / path
            place.write_text(place.read_text() + text if "at the end" in text.split("\n", 1)[0] else text)
        self.append(
            "project/settings.py", f'INTEGRATIONS["ALLOWED_HOSTS"] = {allowed!r}\nCELERY_BROKER_URL = "memory://"\n'
        )
        self.commands = self.facts("set_up.py")

    def append(self, path: str, text: str) -> None:
        """Add `text` to a file of the project."""
        with (self.folder / path).open("a") as file:
            file.write(text)

    def facts(self, script: str, **given: Any) -> Any:
        """Run a script of this folder inside of the project, with `given`; return what it found out."""
        path = Path(__file__).with_name(script)
        names = ("PATH", "HOME", "TMPDIR", "LANG")
        environ = {name: os.environ[name] for name in names if name in os.environ}
        done = subprocess.run(
            # -P: not the folder of the script, whose apps have the names of the project's
            [sys.executable, "-P", "-W", "error", str(path), json.dumps(given)],
            cwd=self.folder,
            env={
                **environ,
                "DJANGO_SETTINGS_MODULE": "project.settings",
                "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            },
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, f"{script}:\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])
