"""Unit tests use no database: their lane runs beside one that does, on the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    users = {"db", "transactional_db", "django_db_setup"}
    for item in items:
        fixtures = users & set(getattr(item, "fixturenames", ()))
        if HERE in item.path.parents and (fixtures or item.get_closest_marker("django_db")):
            pytest.fail(f"{item.nodeid} uses the database: it belongs in tests/integration", pytrace=False)
