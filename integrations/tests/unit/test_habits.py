"""Hooks and CI run what the Makefile runs, and nothing that it does not know."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from integrations.tests.services import is_of_tests

ROOT = Path(__file__).resolve().parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def test_each_part_of_make_check_is_a_hook() -> None:
    parts = re.search(r"^check: (.+)$", MAKEFILE, re.MULTILINE)
    assert parts is not None
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].split() for hook in repository["hooks"]]
    assert [words[-1] for words in entries] == parts[1].split()
    assert {words[0] for words in entries} == {"make"}


def test_the_workflow_runs_every_suite_of_the_makefile() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["make"]
    run = set(job["strategy"]["matrix"]["target"])
    assert run <= TARGETS
    gathered = {"test", "test-slow", "test-long", "test-sandbox"}  # they only name others; the last needs accounts
    suites = {target for target in TARGETS if target == "check" or target.startswith("test")} - gathered
    assert suites <= run


def test_contributing_names_targets_that_exist() -> None:
    named = set(re.findall(r"(?m)(?:`|^)make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert named and named <= TARGETS


def test_nothing_cites_a_document_that_is_not_here() -> None:
    """Numbers of requirements and cases mean something only where the list is: those in tests are in tests/cases/."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md", "*.yaml"], cwd=ROOT, capture_output=True, text=True)
    pages = [ROOT / name for name in listed.stdout.split()] or pytest.skip("not a checkout")
    requirement = re.compile(r"\bseeds/\d|\bS[0-4]-\d+\b|(?<![-\w])design\.md")
    case = re.compile(r"\((?:case )?[BGS]\d{3}\)")
    cited = []
    for page in pages:
        if not page.exists() or page == Path(__file__):
            continue
        text = page.read_text()
        cited += [f"{page.relative_to(ROOT)}: {found}" for found in requirement.findall(text)]
        if not is_of_tests(page) and page.name != "oauth.md":  # PKCE's S256
            cited += [f"{page.relative_to(ROOT)}: {found}" for found in case.findall(text)]
    assert cited == []
