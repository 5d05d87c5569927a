"""``manage.py integration_reference``: the pages of docs/reference/, and whether the stored ones are up to date."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations.management.reference import GENERATED, pages


class Command(BaseCommand):
    help = "Write the reference of event types, API operations, errors and commands as Markdown pages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="where the pages are, such as docs/reference")
        parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is stale")

    def handle(self, *args: Any, folder: Path, check: bool, **options: Any) -> None:
        wanted = pages()
        found = {path.name: path.read_text() for path in folder.glob("*.md")}
        there = {name: text for name, text in found.items() if name in wanted or text.startswith(GENERATED)}
        stale = sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))
        if check:
            if stale:
                raise CommandError(f"stale: {', '.join(stale)}; run: python manage.py integration_reference {folder}")
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name in stale:
            if name in wanted:
                (folder / name).write_text(wanted[name])
            else:
                (folder / name).unlink()  # of what is no longer
        self.stdout.write(f"{len(stale)} of {len(wanted)} pages written: {folder}")
