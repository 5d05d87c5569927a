"""The documentation says what is there: links, settings, environment variables, examples."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from standardwebhooks.webhooks import WebhookVerificationError

from integrations import beat_schedule, conf
from integrations.api.v1.problems import PROBLEM_TYPES
from integrations.tests.factories import SECRET
from integrations.tests.services import is_of_tests
from integrations.transport import signing

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")] if page.exists())
_FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)+\.(?:css|html|js|json|py|toml|ya?ml))`|`(\w+\.py)`")
# Files of the reader's own project, as guides name them.
_YOURS = {"billing/integrations.py", "connectors/parcel_post.py"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its code, in which brackets mean something else."""
    return re.sub(r"`+[^`\n]*`+", "", _FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of `page`."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def row_of(setting: str) -> str:
    """The line of settings.md's tables that begins with `setting`, alone or with others."""
    for line in (DOCS / "settings.md").read_text().splitlines():
        cells = line.split("|")
        if len(cells) > 2 and f"`{setting}`" in cells[1]:
            return line
    pytest.fail(f"docs/settings.md has no table row for {setting}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_files_that_pages_name_are_there() -> None:
    """By their path or its end, as `delivery/drain.py`. Records of decisions and the changelog tell of their time."""
    folders = ("app", "docs", "integrations", "tasks", "tenants")
    files = [*ROOT.glob("*.*"), *(file for folder in folders for file in (ROOT / folder).rglob("*.*"))]
    known = {f"/{file.relative_to(ROOT)}" for file in files}
    ends = {path[at:] for path in known for at in range(len(path)) if path[at] == "/"}
    named = [
        (name_of(page), file)
        for page in PAGES
        if page.parent.name != "adr" and page.name != "CHANGELOG.md"
        for file in map("".join, _FILE.findall(page.read_text()))
    ]
    assert len(named) > 200, "the pattern above no longer matches how pages name files"
    assert [(page, file) for page, file in named if f"/{file}" not in ends and file not in _YOURS] == []


@pytest.mark.parametrize("setting", conf.DEFAULTS)
def test_every_setting_is_documented_with_its_default(setting: str) -> None:
    line = row_of(conf.PREFIX + setting)
    default: Any = conf.DEFAULTS[setting]
    shown = (
        str(default).lower()
        if isinstance(default, bool)
        else str(default)
        if default or isinstance(default, int)
        else "empty"
    )
    if isinstance(default, float):
        shown = f"{default:g}"
    assert (shown or "empty") in line.split("|")[2]


def test_the_table_of_settings_is_up_to_date(tmp_path: Path) -> None:
    call_command("integration_settings", DOCS / "settings.md", check=True)
    page = tmp_path / "page.md"
    page.write_text((DOCS / "settings.md").read_text().replace("how long the lane of a dead worker", "how"))
    with pytest.raises(CommandError, match=r"page\.md is stale; run: python manage\.py integration_settings"):
        call_command("integration_settings", page, check=True)
    call_command("integration_settings", page)
    assert page.read_text() == (DOCS / "settings.md").read_text()
    page.write_text("# Nothing\n")
    with pytest.raises(CommandError, match="has no place for the table: a line <!-- Written by"):
        call_command("integration_settings", page)


def test_every_check_is_described() -> None:
    """Ids that the code has are those of the page, each once."""
    told = re.compile(r"""["'](integrations(?:\.\w+)?\.[EW]\d{3})["']""")
    files = [file for file in (ROOT / "integrations").rglob("*.py") if not is_of_tests(file)]
    said = {name for file in files for name in told.findall(file.read_text())}
    assert len(said) > 25, "the pattern above no longer matches how checks name their ids"
    described: list[str] = []
    for line in (DOCS / "checks.md").read_text().splitlines():
        prefix = "integrations."
        for name in re.findall(r"`([\w.]+)`", line.split("|")[1]) if line.startswith("| `") else ():
            prefix = name[: name.rfind(".") + 1] or prefix
            described.append(prefix + name.rpartition(".")[2])
    assert sorted(described) == sorted(said)


def test_the_changelog_says_nothing_twice() -> None:
    lines = [line.strip() for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if len(line.strip()) > 30]
    entries = [line[:50] for line in lines if line.startswith("- ")]
    headings = [found[0] for line in lines if (found := re.findall(r"^- \*\*(.+?)\*\*", line))]
    assert len(headings) > 50
    for said in (lines, entries, headings):
        assert [line for line, number in Counter(said).items() if number > 1] == []


def test_every_environment_variable_of_the_settings_is_documented() -> None:
    source = (ROOT / "app" / "settings.py").read_text()
    read = set(re.findall(r"""\b(?:env(?:\.\w+)?|_switch|_whole)\(\s*["']([A-Z0-9_]+)["']""", source))
    read |= set(re.findall(r"""["']([A-Z0-9_]+)["'] (?:not )?in os\.environ""", source))
    read |= set(re.findall(r"""os\.environ(?:\.get\(|\[)["']([A-Z0-9_]+)["']""", source))
    assert len(read) > 15, "the patterns above no longer match how settings are read"
    for name in sorted(read):
        row_of(name)


def test_the_reference_is_what_the_code_says() -> None:
    """Asked in a process of its own: other tests register event types."""
    command = [sys.executable, "manage.py", "integration_reference", "docs/reference", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_stale_page_of_the_reference_is_told_and_mended(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"stale: api\.md, commands\.md, errors\.md, event-types\.md; run: python"):
        call_command("integration_reference", tmp_path, check=True)
    (tmp_path / "of-old.md").write_text((DOCS / "reference" / "api.md").read_text())
    (tmp_path / "by-hand.md").write_text("# Mine\n")
    call_command("integration_reference", tmp_path)
    call_command("integration_reference", tmp_path, check=True)
    written = {path.name for path in (DOCS / "reference").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {*written, "by-hand.md"}


def test_the_pages_of_connectors_are_what_their_manifests_say() -> None:
    call_command("connector", "docs", check=True)


def test_every_problem_of_the_api_is_known() -> None:
    """What the code answers, found in its calls, is what the reference lists."""
    used: set[tuple[str, int]] = set()
    for file in (ROOT / "integrations/api/v1").glob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            is_problem = isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("problem", "Refused")
            if is_problem and isinstance(call.args[1], ast.Constant):  # others have the code of an error
                status = call.args[0]
                used.add((call.args[1].value, status.value if isinstance(status, ast.Constant) else 400))
    listed = {(code, status) for code, (statuses, _) in PROBLEM_TYPES.items() for status in statuses}
    assert used == listed - {("refused", 405)}


def test_every_periodic_task_is_described() -> None:
    page = (DOCS / "OPERATIONS.md").read_text()
    assert [name for name, entry in beat_schedule().items() if f"| {name} | `{entry['task']}` |" not in page] == []


def test_every_page_is_in_one_room_of_the_site() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    rooms = {name: entries for room in navigation for name, entries in room.items()}
    assert list(rooms) == ["Home", "Tutorials", "How to", "Reference", "Explanation"]
    places: list[str] = [rooms.pop("Home")]
    for entries in rooms.values():
        for page in (page for entry in entries for page in entry.values()):
            folder = page.removeprefix("every page of ")
            found = (DOCS / folder).glob("*.md") if folder != page else [DOCS / page]
            places += [str(path.relative_to(DOCS)) for path in found]
    beside = ["changelog.md", "contributing.md"]  # files above docs/
    assert sorted(places) == sorted([*(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")), *beside])


def test_every_decision_is_listed() -> None:
    index = (DOCS / "adr" / "README.md").read_text()
    records = sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))
    assert records and [name for name in records if f"]({name})" not in index] == []


def test_the_verification_example_accepts_our_signature_and_no_other() -> None:
    examples = [code for kind, code in _FENCE.findall((DOCS / "SECURITY.md").read_text()) if kind == "python"]
    (example,) = [code for code in examples if "standardwebhooks" in code]
    handled: list[Any] = []
    names: dict[str, Any] = {"already_seen": lambda _: bool(handled), "handle": handled.append}
    exec(example.replace("whsec_…", SECRET), names)  # our own documentation
    body, now = '{"event_type":"test","name":"Zoë"}'.encode(), int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signing.sign("evt_1", now, body, [signing.generate_secret(), SECRET]),
    }
    assert WebhookVerificationError is names["WebhookVerificationError"]
    assert names["receive"](body + b" ", headers) == 401
    assert names["receive"](body, headers) == 200
    assert names["receive"](body, headers) == 200
    assert handled == [{"event_type": "test", "name": "Zoë"}]
