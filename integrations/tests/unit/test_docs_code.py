"""Every block of code in README and docs is tried: compiled, parsed or loaded by what speaks its language.

What cannot be tried says so in the line before it: ``<!-- not tried: why -->``. ``text`` is no code: what programs
print, and drawings.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from django.template import Engine
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(page for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if page.exists())
NOT_TRIED = re.compile(r"<!-- not tried: (\S.*) -->\s*")
FEW = 5  # blocks that may be left out


class Block(NamedTuple):
    """A block of code, and where it begins."""

    language: str
    code: str
    place: str


def blocks(page: Path) -> tuple[list[Block], list[str]]:
    """Return the blocks of `page` that are to be tried, and the reasons for which others are not."""
    found, reasons = [], []
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type not in ("fence", "code_block"):
            continue
        assert token.map is not None
        place = f"{page.relative_to(ROOT)}:{token.map[0] + 1}"
        marked = before is not None and before.type == "html_block" and NOT_TRIED.fullmatch(before.content)
        if marked:
            reasons.append(f"{place}: {marked[1]}")
        else:
            assert token.info, f"{place}: name the language, or `text`"
            found.append(Block(token.info.strip(), token.content, place))
    return found, reasons


def python(block: Block) -> None:
    compile(block.code, block.place, "exec")


def shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and not done.stderr, f"{block.place}: {done.stderr}"


def javascript(block: Block) -> None:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("there is no node to check JavaScript with")
        pytest.skip("there is no node")
    is_module = re.search(r"^(import|export) ", block.code, re.MULTILINE)
    # A Code node of n8n is the body of an asynchronous function.
    is_body = re.search(r"^return ", block.code, re.MULTILINE)
    code = f"async function body() {{\n{block.code}\n}}" if is_body else block.code
    command = [node, f"--input-type={'module' if is_module else 'commonjs'}", "--check"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{block.place}: {done.stderr}"


def sql(block: Block) -> None:
    """A database without our tables, and without PostgreSQL's functions, still tells a mistake in the grammar."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        sqlite3.connect(":memory:").execute(block.code)


def html(block: Block) -> None:
    if "{%" in block.code:
        libraries = {"static": "django.templatetags.static", "i18n": "django.templatetags.i18n"}
        Engine(libraries=libraries).from_string(block.code)
    parser = _Balanced()
    parser.feed(block.code)
    parser.close()
    assert parser.open == [], f"{block.place}: {parser.open} is not closed"


class _Balanced(HTMLParser):
    """Tells which elements are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("br", "hr", "img", "input", "link", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def css(block: Block) -> None:
    plain = re.sub(r'/\*.*?\*/|"[^"]*"', "", block.code, flags=re.DOTALL)
    rules = re.sub(r"[^{}]+\{([^{}]*)\}", lambda rule: _declarations(rule[1], block.place), plain)
    rules = re.sub(r"@[^{}]+\{\s*\}", "", rules)
    assert not rules.strip(), f"{block.place}: {rules.strip()}"


def _declarations(text: str, place: str) -> str:
    for each in filter(None, map(str.strip, text.split(";"))):
        assert re.fullmatch(r"-{0,2}[a-z][a-z-]*\s*:\s*[^:;]+", each), f"{place}: {each}"
    return ""


def dotenv(block: Block) -> None:
    for line in block.code.splitlines():
        assert re.fullmatch(r"|#.*|[A-Z][A-Z0-9_]*=.*", line), f"{block.place}: {line}"


def loaded(load: Callable[[str], Any]) -> Callable[[Block], None]:
    """Make a trial of a function that raises ValueError, or yaml's error, for what it cannot load."""

    def try_it(block: Block) -> None:
        try:
            load(block.code)
        except (ValueError, yaml.YAMLError) as error:
            pytest.fail(f"{block.place}: {error}")

    return try_it


TRIALS: dict[str, Callable[[Block], None]] = {
    "python": python,
    "py": python,  # py, sh and yml: where the page's own test runs the blocks that are called python, bash and yaml
    "bash": shell,
    "sh": shell,
    "javascript": javascript,
    "json": loaded(json.loads),
    "yaml": loaded(lambda text: list(yaml.safe_load_all(text))),
    "yml": loaded(lambda text: list(yaml.safe_load_all(text))),
    "toml": loaded(tomllib.loads),
    "html": html,
    "css": css,
    "sql": sql,
    "dotenv": dotenv,
    "text": lambda block: None,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_what_it_says(page: Path) -> None:
    for block in blocks(page)[0]:
        assert block.language in TRIALS, f"{block.place}: nobody here can try {block.language!r}"
        TRIALS[block.language](block)


def test_few_are_left_out() -> None:
    reasons = [reason for page in PAGES for reason in blocks(page)[1]]
    assert len(reasons) <= FEW, reasons


@pytest.mark.parametrize(
    ("language", "wrong"),
    [
        ("python", "class A:\n    …\n"),
        ("sh", "if true; then\n"),
        ("javascript", "const = 1;\n"),
        ("json", "{'a': 1}"),
        ("yaml", "a: [1"),
        ("toml", "a = \n"),
        ("html", "<p><b>x</p>"),
        ("html", "{% nothing %}"),
        ("css", ":root { --a: 1"),
        ("css", "a { color red; }"),
        ("sql", "SELEC 1"),
        ("dotenv", "KEY: value"),
    ],
)
def test_what_is_wrong_is_found(language: str, wrong: str) -> None:
    with pytest.raises((Exception, pytest.fail.Exception)):
        TRIALS[language](Block(language, wrong, "here:1"))
