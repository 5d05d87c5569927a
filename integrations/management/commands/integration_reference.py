"""``manage.py integration_reference``: the pages of docs/reference/, and whether the stored ones are up to date."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from integrations.management.markdown import write_pages
from integrations.management.reference import GENERATED, pages


class Command(BaseCommand):
    help = "Write the reference of event types, API operations, errors and commands as Markdown pages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="where the pages are, such as docs/reference")
        parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is stale")

    def handle(self, *args: Any, folder: Path, check: bool, **options: Any) -> None:
        said = write_pages(folder, pages(), GENERATED, command=f"integration_reference {folder}", check=check)
        if said:
            self.stdout.write(said)
