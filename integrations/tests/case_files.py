"""Reading the shared case files, as pytest parameters with their stable ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parent / "cases"


def load(name: str) -> dict[str, Any]:
    """Return the whole file ``cases/<name>.json``."""
    return json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))


def params(name: str, keep: Callable[[dict[str, Any]], object], key: str = "cases") -> list[Any]:
    """Return the cases for which `keep` is true; never none, or a renamed area would pass silently."""
    found = [pytest.param(case, id=case["id"]) for case in load(name)[key] if keep(case)]
    assert found, f"no case of {name}.json is selected"
    return found
