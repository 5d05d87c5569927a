"""The lanes of the Makefile name folders: what is marked for a lane must be where it looks, or nobody runs it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from integrations.tests.services import PROJECT

TESTS = PROJECT / "integrations/tests"
MAKEFILE = (PROJECT / "Makefile").read_text()
FOLDERS = {"$(TESTS)": "integrations/tests", "$(CONNECTORS)": "integrations/connectors"}


def looked_at(variable: str) -> list[Path]:
    """Return the paths that `variable` of the Makefile names, by itself or through others."""
    (value,) = re.findall(rf"^{variable} *= *(.+)$", MAKEFILE, re.MULTILINE)
    paths = []
    for word in value.split():
        if of := re.fullmatch(r"\$\((\w+)\)", word):
            paths += looked_at(of[1])
        else:
            first, _, rest = word.partition("/")
            paths.append(PROJECT / FOLDERS.get(first, first) / rest)
    return paths


def every_test() -> list[Path]:
    found = [file for app in ("app", "integrations", "tasks", "tenants") for file in (PROJECT / app).rglob("test_*.py")]
    assert TESTS / "unit" / Path(__file__).name in found
    return found


@pytest.mark.parametrize(("marker", "variable"), [("integration", "ON_SERVICES"), ("slow", "ON_SERVICES")])
def test_what_is_marked_for_a_lane_is_where_it_looks(marker: str, variable: str) -> None:
    marked = [file for file in every_test() if re.search(rf"mark\.{marker}\b", file.read_text())]
    paths = looked_at(variable)
    assert len(marked) > 10
    assert [file for file in marked if not any(file.is_relative_to(path) for path in paths)] == []


@pytest.mark.parametrize("folder", ["app/tests", "tasks/tests", "tenants/tests", "integrations/connectors/kinds"])
def test_each_test_beside_what_it_tests_is_in_a_lane(folder: str) -> None:
    paths = [*looked_at("UNIT"), *looked_at("INTEGRATION")]
    files = list((PROJECT / folder).rglob("test_*.py"))
    assert files and [file for file in files if not any(file.is_relative_to(path) for path in paths)] == []


@pytest.mark.parametrize("lane", ["test-embedded", "test-services"])
def test_no_lane_names_what_it_leaves_out(lane: str) -> None:
    """pytest runs a path that is among its arguments, whatever --ignore says."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    words = subprocess.run(["make", "-n", lane], cwd=PROJECT, env=env, check=True, capture_output=True, text=True)
    left_out = set(re.findall(r"--ignore=(\S+)", words.stdout))
    assert len(left_out) > 5
    assert not left_out & set(words.stdout.split())


def test_what_kills_processes_is_in_its_folder() -> None:
    marked = [file for file in every_test() if "mark.crash" in file.read_text()]
    assert {file.parent.name for file in marked if file != Path(__file__)} == {"crash"}
    assert "$(TESTS)/crash -q -m crash" in MAKEFILE
