"""``manage.py connector``: what it writes works at once, what it lists is there, and the pages are not stale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest, OAuth, RateLimit
from integrations.connectors.registry import KINDS, ConnectorRegistry
from integrations.management import connector_pages, scaffold

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path, *words: str, **env: str) -> str:
    """Run Python in `folder` and return what it printed; a failure fails the test."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**inherited, "DEBUG": "1", **env},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{words}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def printed(*words: str) -> str:
    out = StringIO()
    call_command("connector", *words, stdout=out, stderr=out)
    return out.getvalue()


# -- new ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project that may be written into."""
    copy = tmp_path / "project"
    skipped = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "*.sqlite3*")
    shutil.copytree(ROOT, copy, ignore=skipped)
    return copy


def test_a_new_template_of_this_project_passes_at_once(project: Path) -> None:
    """And a connector in code does: test_author_guide.py."""
    said = run(project, "manage.py", "connector", "new", "parcel_post", "--yaml", "--family", "logistics")
    test = project / "integrations" / "connectors" / "kinds" / "parcel_post" / "tests" / "test_conformance.py"
    assert str(test) in said and "registered by being there" in said
    everyone = "integrations/connectors/tests/test_every_kind.py"
    passed = run(project, "-m", "pytest", "-q", "-rN", str(test), everyone)
    assert " passed" in passed and "skipped" not in passed
    run(project, "-m", "ruff", "check", str(test))
    run(project, "-m", "ruff", "format", "--check", str(test))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Another project with an app of its own, on this project's integrations."""
    app = tmp_path / "courier_parcels"
    app.mkdir()
    (app / "__init__.py").touch()
    settings = 'from app.settings import *\n\nINSTALLED_APPS = [*INSTALLED_APPS, "courier_parcels"]\n'
    (tmp_path / "courier_settings.py").write_text(settings)
    (tmp_path / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = courier_settings\n")
    return app


def in_their_project(app: Path, *words: str) -> str:
    path = os.pathsep.join([str(app.parent), str(ROOT)])
    return run(app.parent, *words, PYTHONPATH=path, DJANGO_SETTINGS_MODULE="courier_settings")


def test_a_new_connector_of_another_app_passes_at_once(app: Path) -> None:
    said = in_their_project(app, "-m", "django", "connector", "new", "parcel_post", "--app", "courier_parcels")
    assert "`from courier_parcels.connectors import parcel_post` in your AppConfig's ready()" in said
    assert 'parcel_post = "courier_parcels.connectors.parcel_post:ParcelPostConnector"' in said
    test = app / "connectors" / "test_parcel_post.py"
    assert " passed" in in_their_project(app, "-m", "pytest", "-q", "-rN", "-p", "no:randomly", str(test))
    # What it said about registering is right.
    (app / "apps.py").write_text(
        "from django.apps import AppConfig\n\n\nclass ParcelsConfig(AppConfig):\n"
        '    name = "courier_parcels"\n\n    def ready(self):\n'
        "        from courier_parcels.connectors import parcel_post\n"
    )
    listed = in_their_project(app, "-m", "django", "connector", "list")
    assert "courier_parcels.connectors.parcel_post" in listed


def test_a_new_template_of_another_app_passes_at_once(app: Path) -> None:
    said = in_their_project(
        app, "-m", "django", "connector", "new", "parcel_post", "--yaml", "--app", "courier_parcels"
    )
    folder = app / "connectors" / "templates"
    assert f'INTEGRATIONS = {{"TEMPLATE_DIRS": ["{folder}"]}}' in said
    with (app.parent / "courier_settings.py").open("a") as settings:
        settings.write(f'INTEGRATIONS = {{**INTEGRATIONS, "TEMPLATE_DIRS": ["{folder}"]}}\n')
    test = app / "connectors" / "test_parcel_post.py"
    assert " passed" in in_their_project(app, "-m", "pytest", "-q", "-rN", str(test))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["My_ERP"], "small letters, digits and underscores"),
        (["my-erp"], "small letters, digits and underscores"),
        (["../erp"], "small letters, digits and underscores"),
        (["1erp"], "begins with a letter"),
        (["a"], "2 to 40"),
        (["a" * 41], "2 to 40"),
        (["class"], "class is a word of Python"),
        (["match"], "match is a word of Python"),
        (["webhook"], "there is a connector webhook already: integrations.connectors.kinds.webhook"),
        (["my_erp", "--family", "Chat Rooms"], "a family has small letters"),
        (["my_erp", "--app", "nothing"], "there is no app nothing in INSTALLED_APPS"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_written(words: list[str], problem: str) -> None:
    before = sorted(KINDS.iterdir())
    with pytest.raises(CommandError, match=problem):
        call_command("connector", "new", *words)
    assert sorted(KINDS.iterdir()) == before


@pytest.mark.parametrize("there", ["code", "tests"])
def test_it_never_overwrites(tmp_path: Path, there: str) -> None:
    plan = scaffold.plan("my_erp", "erp", scaffold.in_app("my_erp", tmp_path, "parcels"), is_yaml=False)
    kept = {"code": tmp_path / "connectors" / "my_erp.py", "tests": plan.test}[there]
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(scaffold.ScaffoldError, match="is there already; nothing was written"):
        plan.write()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept] and kept.read_text() == "mine"


def test_a_package_that_is_there_is_kept(tmp_path: Path) -> None:
    package = tmp_path / "connectors" / "__init__.py"
    package.parent.mkdir()
    package.write_text("mine")
    scaffold.plan("my_erp", "erp", scaffold.in_app("my_erp", tmp_path, "p"), is_yaml=False).write()
    assert package.read_text() == "mine"


def test_an_installed_package_is_not_written_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scaffold, "INTEGRATIONS", tmp_path / "site-packages" / "integrations")
    with pytest.raises(CommandError, match="name your app with --app"):
        call_command("connector", "new", "my_erp")


# -- list -----------------------------------------------------------------------------------------------------


def test_list_shows_what_is_registered_and_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConnectorRegistry, "_broken", {"acme": "connector acme (acme:Acme) does not load"})
    lines = printed("list").splitlines()
    assert lines[0].split() == ["key", "family", "version", "from"]
    assert {line.split()[0] for line in lines[1:-1]} == {kind.manifest.key for kind in ConnectorRegistry.all()}
    assert "acme cannot be used: connector acme (acme:Acme) does not load" in lines[-1]


# -- docs -----------------------------------------------------------------------------------------------------


def test_the_pages_of_this_project_are_not_stale() -> None:
    call_command("connector", "docs", "--check")


def test_stale_pages_are_found_and_mended(tmp_path: Path) -> None:
    with pytest.raises(
        CommandError, match=r"stale: README\.md, .*webhook\.md.*; run: python manage\.py connector docs"
    ):
        printed("docs", "--check", "--to", str(tmp_path))
    assert not list(tmp_path.iterdir())
    printed("docs", "--to", str(tmp_path))
    printed("docs", "--check", "--to", str(tmp_path))
    gone, own = tmp_path / "gone.md", tmp_path / "own.md"
    gone.write_text(connector_pages.GENERATED)
    own.write_text("written by hand")
    (tmp_path / "webhook.md").write_text("changed")
    with pytest.raises(CommandError, match=r"stale: gone\.md, webhook\.md;"):
        printed("docs", "--check", "--to", str(tmp_path))
    printed("docs", "--to", str(tmp_path))
    assert own.exists() and not gone.exists()
    printed("docs", "--check", "--to", str(tmp_path))


class Everything(BaseConnector):
    """Says ``<all>`` there is to say."""

    manifest = Manifest(
        key="everything",
        label="Everything",
        family="crm",
        version="2.1.0",
        description="Takes | all.",
        docs_url="https://docs.acme.example/",
        fields=(
            Field(name="url", kind="url", required=True, help="Whole | address."),
            Field(name="api_key", label="API key", kind="secret", required=True),
            Field(name="mode", kind="choice", choices=("a", "b"), default="a", advanced=True),
            Field(name="region", pattern="eu|us", hint="must be eu or us"),
        ),
        oauth=OAuth(grant="client_credentials", token_url="https://acme.example/token", scopes=("read", "write")),
        allowed_hosts=("acme.example", "*.acme.example"),
        rate_limit=RateLimit(per_minute=60, note="per user"),
        allow_multiple=False,
        does=("deliver", "check"),
    )


def test_a_page_says_what_the_manifest_says() -> None:
    page = connector_pages.page(Everything)
    for line in (
        "# Everything",
        "Takes | all.",
        "| integration type | `everything`, version 2.1.0 |",
        "| does | takes events, can be tested without sending anything |",
        "| talks to | `acme.example`, `*.acme.example`, and what the operator allow-lists |",
        "| at most | 60 requests a minute (per user) |",
        "| a tenant may have | one active integration of the family crm |",
        "| provider's documentation | <https://docs.acme.example/> |",
        "| Url | `url` | required, encrypted |  | Whole \\| address. |",
        "| API key | `api_key` | required, secret |  |  |",
        "| Mode | `mode` | advanced | `a` | One of: a, b. |",
        "| Region | `region` |  |  | It must be eu or us. |",
        "OAuth 2, grant client credentials. Scopes asked for, and no others: `read`, `write`. "
        "Tokens come from `https://acme.example/token`.",
        "Says `<all>` there is to say.",
    ):
        assert line in page.splitlines(), line
    assert not connector_pages.is_ours(Everything)
