"""A template as a whole: its shape, its versions, its manifest; every message has a line and a way out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.connectors import registry
from integrations.connectors.base import BaseConnector
from integrations.connectors.kinds.rest import RestConnector
from integrations.connectors.template.load import load, templates_in
from integrations.connectors.template.schema import Template
from integrations.errors import IncompatibleConnector, TemplateError
from integrations.tests.template_files import CONNECTORS, DELIVER, HEAD, line_of, template

ROOT = Path(__file__).resolve().parents[3]
RULE = "errors:\n  - when: {status: 409}\n    kind: temporary\n    message: busy\n"
ACTION = "actions:\n  find:\n    method: GET\n    path: /find\n"


def refused(text: str = "", *, head: str = HEAD) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        template(text, head=head)
    return caught.value


@pytest.mark.parametrize(
    ("text", "needle", "says"),
    [
        (DELIVER + "  verb: POST\n", "verb", "is unknown; there are: method, path, query, headers, json"),
        (DELIVER + "  qurey: {}\n", "qurey", "did you mean 'query'?"),
        ("delivre:\n  method: POST\n", "delivre", "did you mean 'deliver'?"),  # B252
        ("deliver:\n  path: /x\n", "path: /x", "deliver.method: is missing; add it"),
        ("deliver:\n  method: FETCH\n  path: /x\n", "FETCH", "must be one of: 'GET', 'POST'"),
        ("deliver:\n  method: POST\n  path: [x]\n", "[x]", "deliver.path: must be text"),
        ("deliver: POST\n", "POST", "must be a mapping"),
        ("deliver: [a]\n", "[a]", "must be a mapping"),
        (DELIVER + "  headers: x\n", "headers: x", "must be a mapping"),
        (DELIVER + "  headers: {X: [1]}\n", "[1]", "must be text"),
        (DELIVER + "  headers: {X-A: a, x-a: b}\n", "x-a", "given twice"),
        (DELIVER + '  headers: {X-A: "a\\nX-B: b"}\n', "X-A", "line break"),
        (DELIVER + '  headers: {X-A: "${config.folder}\\r\\nX-B: b"}\n', "X-A", "line break"),
        (DELIVER + '  headers: {X-A: " a"}\n', "X-A", "begins or ends with a space"),
        (DELIVER + '  headers: {X-A: "→"}\n', "X-A", "non-latin-1"),
        ('headers: {X-A: "a\\x07b"}\n', "X-A", "control character"),
        ('auth: {header: {X-Key: "a\\n${secret.token}"}}\n', "X-Key", "line break"),
        ('auth: {bearer: "a\\n${secret.token}"}\n', "bearer", "line break"),
        (DELIVER + "  idempotency_header: Host\n", "idempotency_header", "Host"),
        ("check:\n  method: GET\n  path: /me\n  json: {}\n", "method: GET", "a GET has no json"),
        ("actions:\n  Find:\n    method: GET\n    path: /\n", "Find", "must match"),
        (ACTION + "    params: {q: {kind: string}}\n", "string", "must be one of: 'text', 'integer'"),
        (ACTION + "    params: {n: {kind: integer, default: many}}\n", "many", "is no integer"),
        (ACTION + "    params: {n: {required: perhaps}}\n", "perhaps", "must be true or false"),
        (ACTION + "    query: {q: '${param.q}'}\n", "param.q", "param.q is not declared; there are: none"),
        (ACTION + "    query: {q: '${page.cursor}'}\n", "page.cursor", "page is not declared"),
        (ACTION + "    pages: {max: 3}\n", "max: 3", "needs either a cursor or a link"),
        (ACTION + "    pages: {cursor: '${response.json.next}', max: lots}\n", "lots", "must be a whole number"),
        (ACTION + "    returns: ${payload}\n", "${payload}", "payload is not declared"),
        (RULE.replace("409", "[409, 6xx]"), "6xx", "must be a status"),
        (RULE.replace("409", "999"), "999", "must be a status"),
        (RULE.replace("{status: 409}", "{}"), "when", "needs a status, a condition, or both"),
        (RULE.replace("temporary", "later"), "later", "must be one of: 'auth', 'rate_limited'"),
        (RULE.replace("busy", "busy ${response.text}"), "when", "fixed text"),
        (RULE.replace("status: 409", "condition: '${response.json.x}'"), "condition", "already"),
        (RULE.replace("status: 409", "condition: payload.x"), "condition", "payload is not declared"),
        (RULE + "    retry_after: ${config.folder}\n", "retry_after", "config is not declared"),
        ("auth: {}\n", "auth", "needs one of"),
        ("auth: {bearer: a, basic: {username: a, password: b}}\n", "auth", "needs one of"),
        ("auth: {header: {A: '${secret.token}', B: x}}\n", "auth", "one entry"),
        ("auth: {bearer: '${payload}'}\n", "payload", "payload is not declared"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, needle: str, says: str) -> None:
    error = refused(text)
    assert says in error.problem
    assert error.line == line_of(text, needle)
    assert str(error).startswith(f"crm.yaml:{error.line}:") and "pydantic" not in str(error)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("version: 1\n", "", "version is missing"),
        ("connector: rest\n", "", "connector: is missing"),
        ('connector_version: "^1.0"\n', "", "connector_version: is missing"),
        ('"^1.0"', "newest", "is no version"),
        ("connector: rest", "connector: soap", "interprets no templates; there are: rest"),
        ("connector: rest", "connector: webhook", "interprets no templates"),
        ("key: crm", "key: c r m", "must match"),
        ("label: CRM", "label: [CRM]", "must be text"),
        ("label: CRM", "label: CRM\n  timeout: 99", "less than or equal to 60"),
        ("label: CRM", "label: CRM\n  does: [check]", "must agree"),
        ("name: column", "name: folder", "given twice"),
        ("name: base_url", "name: address", "add a field named url or base_url"),
        ("https://api.example.com", "ftp://api.example.com", "the default of base_url"),
        ("kind: url", "kind: uri", "must be one of: 'text', 'secret'"),
        ("{name: column}", "{name: column, kind: integer, default: x}", "must be one"),
        ("{name: column}", "{name: column, kind: boolean, default: maybe}", "must be one"),
        ("kind: secret}", "kind: secret, default: hunter2}", "a secret cannot have a default"),
    ],
)
def test_what_is_wrong_with_the_head(before: str, after: str, says: str) -> None:
    assert before in HEAD
    error = refused(head=HEAD.replace(before, after))
    assert says in error.problem and error.line > 0 and "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("before", "after"), [("version: 1\n", "version: 99\n"), ('"^1.0"', '"^2.0"'), ('"^1.0"', '">=1.1"')]
)
def test_other_versions_are_incompatible(before: str, after: str) -> None:
    """B252: also with keys that only the other version has."""
    error = refused("later: {}\n" if "99" in after else "", head=HEAD.replace(before, after, 1))
    assert isinstance(error, IncompatibleConnector) and error.line in (1, 3)


def test_a_text_field_stays_text() -> None:
    """B251: the schema decides; nothing is guessed."""
    fields = (
        "    - {name: a, label: no, default: 010}\n    - {name: b, kind: integer, default: 12}\n"
        "    - {name: c, kind: boolean, default: no}\n"
        "    - {name: d, kind: choice, choices: [on, 2025-01-01], default: on}\n"
        "    - {name: e, kind: json, default: {x: 1.10, y: 010, z: '1'}}\n"
        "    - {name: f, kind: lines, default: [1, no]}\n"
    )
    manifest = template(head=HEAD + fields).manifest
    assert manifest.defaults() == {
        "base_url": "https://api.example.com",
        "folder": "inbox",
        "a": "010",
        "b": 12,
        "c": False,
        "d": "on",
        "e": {"x": 1.1, "y": "010", "z": "1"},
        "f": ["1", "no"],
    }
    found = manifest.field("a")
    assert found is not None and found.label == "no"


def test_what_a_template_can_do_follows_from_its_blocks() -> None:
    assert template().manifest.does == ()
    assert template(DELIVER).manifest.does == ("deliver",)
    assert template(DELIVER + "check: {method: GET, path: ''}\n" + ACTION).manifest.does == ("deliver", "check", "read")


_LINES = (HEAD + DELIVER + "  json: {a: '${payload.a}'}\n" + ACTION + RULE).splitlines()


@settings(max_examples=300)
@given(
    st.lists(st.integers(0, len(_LINES) - 1), max_size=6),
    st.integers(0, len(_LINES) - 1),
    st.text("abcdeilnoprstuvy:{}[]'\"-|&*!?$. 0123456789\n", max_size=30),
)
def test_a_damaged_template_is_a_template_error_or_a_template(gone: list[int], where: int, scribble: str) -> None:
    lines = [line for number, line in enumerate(_LINES) if number not in gone]
    lines.insert(where, scribble)
    try:
        load("\n".join(lines).encode(), "crm.yaml", CONNECTORS)
    except TemplateError as error:
        assert error.file == "crm.yaml" and error.line >= 0 and "\n" not in str(error)


# -- folders and the registry -----------------------------------------------------------------------------

OURS = sorted(registry.KINDS.glob("*/"))


def all_of_ours() -> list[Template | TemplateError]:
    return [found for folder in OURS for found in templates_in(folder, CONNECTORS)]


def test_one_broken_file_takes_none_of_the_others_down(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(HEAD.replace("crm", "broken") + "x: 1\n")
    (tmp_path / "good.yml").write_text(HEAD.replace("crm", "good") + DELIVER)
    (tmp_path / "taken.yaml").write_text(HEAD.replace("crm", "notion"))
    (tmp_path / "notes.txt").write_text("not a template")
    taken: dict[str, type[BaseConnector]] = {}

    def register(connector: type[BaseConnector]) -> None:
        if taken.setdefault(connector.manifest.key, connector) is not connector:
            raise ValueError(f"two connectors call themselves {connector.manifest.key!r}")

    problems = registry._load_templates(register, {"rest": RestConnector}, [*OURS, tmp_path, tmp_path / "missing"])
    assert "good" in taken and "broken" not in taken
    assert taken["notion"].template.file.endswith("kinds/notion/connector.yaml")  # type: ignore[attr-defined]
    words = [str(problem) for problem in problems]
    assert [Path(word.split(":")[0]).name for word in words] == ["broken.yaml", "taken.yaml", "missing"]
    assert "broken.yaml:12:1: x: is unknown" in words[0] and "taken.yaml:5: two connectors" in words[1]


def test_a_broken_one_of_ours_fails_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "connector.yaml").write_text("version: 1\n")
    monkeypatch.setattr(registry, "KINDS", tmp_path)
    monkeypatch.setattr(registry.ConnectorRegistry, "_has_ours", False)
    monkeypatch.setattr(registry.ConnectorRegistry, "_loaded", False)
    with pytest.raises(TemplateError, match=r"ours/connector\.yaml:1"):
        registry.ConnectorRegistry.type_of("notion")


def test_a_setting_that_cannot_be_read_keeps_no_template_out(settings: Any) -> None:
    """`manage.py check` says what is wrong with it, which it could not if the kinds did not load."""
    settings.INTEGRATIONS = {"ALLOWED_NETWORKS": ["not a network"]}
    assert [each for each in all_of_ours() if isinstance(each, TemplateError)] == []


def test_the_interpreter_itself_is_not_offered() -> None:
    assert "rest" not in dict(registry.connector_choices())
    assert registry.ConnectorRegistry.template_errors() == []


def test_the_operator_is_told_by_manage_check(tmp_path: Path) -> None:
    """In a process of its own, since the registry loads once."""
    (tmp_path / "broken.yaml").write_text(HEAD + DELIVER + "  json: {a: '${SECRET_KEY}'}\n")
    code = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "from integrations.connectors.registry import connector_choices\n"
        "print(sorted(dict(connector_choices())))\n"
        "call_command('check')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "", "DJANGO_SETTINGS_MODULE": "app.settings", "INTEGRATIONS_TEMPLATE_DIRS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert re.search(r"integrations\.E010.*broken\.yaml:15:\d+: in the expression 'SECRET_KEY'", done.stderr)
    assert "'notion'" in done.stdout and "'crm'" not in done.stdout


def test_all_our_templates_load() -> None:
    found = all_of_ours()
    assert len(found) >= 6 and [problem for problem in found if isinstance(problem, TemplateError)] == []
