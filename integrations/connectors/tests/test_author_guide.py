"""docs/write-your-own-connector.md is a script: every command is run, every file written, in order, in a copy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "write-your-own-connector.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_guide_works_as_printed(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules", "*.sqlite3*"))
    ran, wrote, listed = [], [], ""
    for language, block in _FENCE.findall(GUIDE.read_text()):
        if language == "bash":
            for line in block.splitlines():
                ran.append(line)
                said = run(copy, line)
                assert "pytest" not in line or " passed" in said
                if "connector new" in line:
                    written = re.findall(r"^wrote (.+\.py)$", said, re.MULTILINE)
                    assert len(written) == 4
                    run(copy, f"python -m ruff check {shlex.join(written)}")
                    run(copy, f"python -m ruff format --check {shlex.join(written)}")
                listed = said if line.endswith("connector list") else listed
        elif language == "python":
            path = copy / block.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.partition("\n")[2])
            wrote.append(path.name)
    assert len(ran) == 7 and len(wrote) == 5, "the guide has other steps; look at this test again"
    page = (copy / "docs" / "connectors" / "my_erp.md").read_text()
    assert "Opens a ticket for every event." in page and "drops a copy by `reference`" in page
    module = r"integrations\.connectors\.kinds\.my_erp\.connector"
    assert re.search(rf"^my_erp +erp +1\.0\.0 +{module}$", listed, re.MULTILINE)


def run(folder: Path, line: str) -> str:
    """Run one line of the guide, with this Python; a failure fails the test."""
    words = shlex.split(line)
    assert words[0] == "python"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
    # Not everything there: the classes of other connectors have a test of their own.
    more = ["-k", "MyErp or registered or my_connector"] if "pytest" in words else []
    done = subprocess.run(
        [sys.executable, *words[1:], *more],
        cwd=folder,
        env={**inherited, "DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{line}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout
