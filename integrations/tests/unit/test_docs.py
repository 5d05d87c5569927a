"""The documentation says what is there: links, settings, environment variables, examples."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from standardwebhooks.webhooks import WebhookVerificationError

from integrations import conf
from integrations.tests.factories import SECRET
from integrations.transport import signing

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")] if page.exists())
_FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


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
    """The line of OPERATIONS.md's tables that begins with `setting`, alone or with others."""
    for line in (DOCS / "OPERATIONS.md").read_text().splitlines():
        cells = line.split("|")
        if len(cells) > 2 and f"`{setting}`" in cells[1]:
            return line
    pytest.fail(f"docs/OPERATIONS.md has no table row for {setting}")


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
    call_command("integration_settings", DOCS / "OPERATIONS.md", check=True)
    page = tmp_path / "page.md"
    page.write_text((DOCS / "OPERATIONS.md").read_text().replace("how long the lane of a dead worker", "how"))
    with pytest.raises(CommandError, match=r"page\.md is stale; run: python manage\.py integration_settings"):
        call_command("integration_settings", page, check=True)
    call_command("integration_settings", page)
    assert page.read_text() == (DOCS / "OPERATIONS.md").read_text()
    page.write_text("# Nothing\n")
    with pytest.raises(CommandError, match="has no place for the table: a line <!-- Written by"):
        call_command("integration_settings", page)


def test_every_environment_variable_of_the_settings_is_documented() -> None:
    source = (ROOT / "app" / "settings.py").read_text()
    read = set(re.findall(r"""\b(?:env(?:\.\w+)?|_switch|_whole)\(\s*["']([A-Z0-9_]+)["']""", source))
    read |= set(re.findall(r"""["']([A-Z0-9_]+)["'] (?:not )?in os\.environ""", source))
    read |= set(re.findall(r"""os\.environ(?:\.get\(|\[)["']([A-Z0-9_]+)["']""", source))
    assert len(read) > 15, "the patterns above no longer match how settings are read"
    for name in sorted(read):
        row_of(name)


def test_every_decision_is_listed() -> None:
    index = (DOCS / "adr" / "README.md").read_text()
    records = sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))
    assert records and [name for name in records if f"]({name})" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_examples_compile(page: Path) -> None:
    for language, code in _FENCE.findall(page.read_text()):
        if language == "python":
            compile(code, name_of(page), "exec")


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
