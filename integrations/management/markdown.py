"""Markdown of tables and code, and folders of generated pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a ``|`` in a cell does not end it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell(each) for each in line)} |" for line in lines)


def cell(text: str) -> str:
    """Return `text` on one line, as a cell may hold it."""
    return " ".join(text.split()).replace("|", "\\|")


def json_block(value: Any) -> str:
    """Return `value` as a block of JSON."""
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def write_pages(folder: Path, wanted: Mapping[str, str], mark: str, *, command: str, check: bool) -> str:
    """Write the pages `wanted` ({file name: Markdown}) into `folder`, and delete others of ours; say what was done.

    Args:
        mark: what a page of ours begins with.
        command: what makes them, to be said to people.
        check: write nothing.

    Raises:
        CommandError: `check`, and a page is stale.
    """
    found = {path.name: path.read_text() for path in folder.glob("*.md")}
    there = {name: text for name, text in found.items() if name in wanted or text.startswith(mark)}
    stale = sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))
    if check and stale:
        raise CommandError(f"stale: {', '.join(stale)}; run: python manage.py {command}")
    if check:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (folder / name).write_text(wanted[name])
        else:
            (folder / name).unlink()  # of what is no longer
    return f"{len(stale)} of {len(wanted)} pages written: {folder}"
