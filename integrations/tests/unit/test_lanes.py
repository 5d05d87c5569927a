"""The lanes of the Makefile name folders: what is marked for a lane must be where it looks, or nobody runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from integrations.tests.services import PROJECT

TESTS = PROJECT / "integrations/tests"
MAKEFILE = (PROJECT / "Makefile").read_text()


def looked_at(variable: str) -> list[Path]:
    """Return the paths that `variable` of the Makefile names."""
    (value,) = re.findall(rf"^{variable} *= *(.+)$", MAKEFILE, re.MULTILINE)
    return [PROJECT / path.replace("$(TESTS)", "integrations/tests") for path in value.split()]


@pytest.mark.parametrize(("marker", "variable"), [("integration", "ON_SERVICES"), ("slow", "ON_SERVICES")])
def test_what_is_marked_for_a_lane_is_where_it_looks(marker: str, variable: str) -> None:
    marked = [file for file in TESTS.rglob("test_*.py") if re.search(rf"mark\.{marker}\b", file.read_text())]
    paths = looked_at(variable)
    assert len(marked) > 10
    assert [file for file in marked if not any(file.is_relative_to(path) for path in paths)] == []


def test_what_kills_processes_is_in_its_folder() -> None:
    marked = [file for file in TESTS.rglob("test_*.py") if "mark.crash" in file.read_text()]
    assert {file.parent.name for file in marked if file != Path(__file__)} == {"crash"}
    assert "$(TESTS)/crash -q -m crash" in MAKEFILE
