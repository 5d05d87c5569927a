"""``manage.py integration_settings``: the table of all settings, and whether the one in a document is up to date."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations import conf

BEGIN = "<!-- Written by `manage.py integration_settings` from integrations/conf.py. Edit that, not this table. -->\n"
END = "<!-- end of the settings -->\n"


class Command(BaseCommand):
    help = "Print the table of the integrations' settings, or write it into a Markdown document."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("document", type=Path, nargs="?", help="where to write it, between its two marks")
        parser.add_argument("--check", action="store_true", help="write nothing; fail if the document is stale")

    def handle(self, *args: Any, document: Path | None, check: bool, **options: Any) -> None:
        if document is None:
            self.stdout.write(table())
            return
        text = document.read_text()
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise CommandError(f"{document} has no place for the table: a line {BEGIN}and a line {END}")
        wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
        if check and text != wanted:
            raise CommandError(f"{document} is stale; run: python manage.py integration_settings {document}")
        if not check:
            document.write_text(wanted)


def table() -> str:
    """Return every setting with its default, what is allowed and what it means, in Markdown."""
    rows = ["| variable | default | allowed | meaning |", "| --- | --- | --- | --- |"]
    rows += [_row(name) for name in conf.DEFAULTS]
    return "".join(f"{row}\n" for row in rows)


def _row(name: str) -> str:
    meaning = str(conf.Settings.model_fields[name].description)
    for alias, (ours, factor) in conf.ALIASES.items():
        if ours == name:
            meaning += f". `{alias}` means the same{'' if factor == 1 else ', in milliseconds'}"
    limits = re.sub(r"^an? ", "", conf.allowed(name))
    limits = limits.replace(f" and at most {conf.LARGEST}", "").replace(f" to {conf.LARGEST}", " up")
    return f"| `{conf.PREFIX}{name}` | {_shown(conf.DEFAULTS[name])} | {limits} | {meaning} |"


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int | float):
        return f"{default:.15g}"
    return f"`{default}`" if default else "empty"
