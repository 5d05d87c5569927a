"""Migrations know neither the tenant model nor our label; the first finds the one that makes the tenant model."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.db.migrations.loader import MigrationLoader

INITIAL = import_module("integrations.migrations.0001_initial")
HEAD = "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    operations = ["
MADE = 'migrations.CreateModel("{}", [("id", models.UUIDField(primary_key=True))])'


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    """An empty package of migrations of the app `accounts`."""
    folder = tmp_path / "their_migrations"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "their_migrations"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(MigrationLoader, "migrations_module", lambda app_label: ("their_migrations", True))
    settings.INTEGRATIONS_TENANT_MODEL = "accounts.Account"
    return folder


def write(folder: Path, name: str, *operations: str) -> None:
    (folder / f"{name}.py").write_text(f"{HEAD}{', '.join(operations)}]\n")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (MADE.format("Account"), "0002_more"),
        ('migrations.RenameModel("User", "Account")', "0002_more"),
        (MADE.format("Other"), "__first__"),  # nobody makes it: Django says what is wrong
    ],
)
def test_it_depends_on_the_migration_that_makes_the_tenant_model(theirs: Path, operation: str, expected: str) -> None:
    write(theirs, "0001_initial", MADE.format("User"))
    write(theirs, "0002_more", operation)
    write(theirs, "0003_last", MADE.format("Note"))
    dependency = INITIAL._of_tenant_model()
    assert tuple(dependency) == ("accounts", expected)
    assert dependency.setting == "accounts.Account"


def test_an_app_without_migrations_has_no_dependency_that_fails(theirs: Path) -> None:
    assert tuple(INITIAL._of_tenant_model()) == ("accounts", "__first__")


@pytest.mark.parametrize("path", sorted(Path(INITIAL.__file__).parent.glob("0*.py")), ids=lambda path: path.stem)
def test_it_names_neither_our_label_nor_code_of_ours(path: Path) -> None:
    """A later one begins with ``APP = apps.get_containing_app_config(__name__).label``, too."""
    text = path.read_text()
    assert "integrations." not in text and "'integrations'" not in text and '"integrations"' not in text
    assert "tenants" not in text
