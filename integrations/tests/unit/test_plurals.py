"""No page and no line says "2 execution log" or "1 rows"."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.apps import apps

from integrations.connections.health import refused_reason
from integrations.counted import counted

ROOT = Path(__file__).parents[3]
SINGLE = {"GitHub", "Weaviate", "Microsoft Graph", "OpenAI", "Gemini"}  # configurations of which there is one


@pytest.mark.parametrize("label", ["integrations", "tenants", "tasks"])
def test_models_have_a_plural(label: str) -> None:
    for model in apps.get_app_config(label).get_models():
        one, several = str(model._meta.verbose_name), str(model._meta.verbose_name_plural)
        if one.removesuffix(" configuration") not in SINGLE:
            assert one != several and several.split(" of ")[0].endswith("s"), (model, several)


def test_a_number_and_its_noun() -> None:
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert counted(2, "entry", "entries") == "2 entries"
    assert "1 time in a row" in refused_reason(1) and "2 times in a row" in refused_reason(2, "the channel is gone")


def test_nothing_leaves_the_number_to_its_reader() -> None:
    """``event(s)`` is a number that nobody has looked at."""
    left = {"integrations/management/commands/rotate_encryption.py"}  # a table of counts
    for folder in ("integrations", "tenants", "tasks", "app"):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if "/tests/" not in name and name not in left:
                found = re.findall(r"\b[a-z]{3,}\(s\)[ ,.:;\"']", path.read_text())
                assert not found, (name, found)
