"""``manage.py event_catalogue``: every event type with its schema; whether the stored one still says the truth."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations.catalogue.asyncapi import document
from integrations.catalogue.entries import entries
from integrations.catalogue.stored import Change, changes, updated

NEW_VERSION = (
    "Receivers may break. Count up payload_version in the trigger handler and say in older_payloads how the old "
    "version is made of the new one: subscriptions keep theirs until somebody moves them. If nobody has it: --breaking."
)


class Command(BaseCommand):
    help = (
        "Write the catalogue of event types into a file of your repository, or fail if a payload differs from what "
        "it says. A payload that changed is written with --because, which says to receivers what changed. One that "
        "breaks receivers gets a new version in its trigger handler (payload_version, older_payloads)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="the stored catalogue, such as docs/events.json")
        parser.add_argument("--check", action="store_true", help="write nothing; fail if a payload has changed")
        parser.add_argument("--because", default="", help="what changed, for receivers; kept with the version")
        parser.add_argument(
            "--breaking", action="store_true", help="write also what breaks receivers of a version that was stored"
        )
        parser.add_argument("--asyncapi", action="store_true", help="print the AsyncAPI document instead")

    def handle(
        self,
        *args: Any,
        file: Path | None,
        check: bool,
        because: str,
        breaking: bool,
        asyncapi: bool,
        **options: Any,
    ) -> None:
        found = entries()
        if asyncapi:
            self._print(document(found, title="Events", version=_version()))
            return
        if file is None:
            self._print({each.name: each.as_json() for each in found})
            return
        stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        said = changes(stored, found)
        if said and check:
            advice = f'Run: python manage.py event_catalogue {file} --because "what receivers must know"'
            raise CommandError("\n".join([*_words(said), NEW_VERSION if any(each.breaks for each in said) else advice]))
        if breaks := [] if breaking or check else [each for each in said if each.breaks]:
            raise CommandError("\n".join([*_words(breaks), NEW_VERSION]))
        if (told := [each for each in said if each.is_told]) and not because and not check:
            raise CommandError("\n".join([*_words(told), "Say to receivers what changed: --because …"]))
        if not check:
            text = json.dumps(updated(stored, found, because), indent=1, ensure_ascii=False)
            file.write_text(text + "\n")

    def _print(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


def _words(said: list[Change]) -> list[str]:
    return [each.words for each in said]


def _version() -> str:
    try:
        return version("django-integration-outbox")
    except PackageNotFoundError:  # a checkout
        return "0"
