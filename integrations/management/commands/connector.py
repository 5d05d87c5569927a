"""``manage.py connector new | list | docs | texts``: make a connector, list them, write pages and texts."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.management import connector_pages, scaffold
from integrations.management.markdown import write_pages

OURS = scaffold.INTEGRATIONS / "connectors" / "manifest_texts.py"


class Command(BaseCommand):
    help = "Make a new connector, list those there are, or write their pages in docs/connectors/."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        new = commands.add_parser("new", help="Write a connector that works, and a test that passes.")
        new.add_argument("name", help="such as my_erp: its key, and the name of its module")
        new.add_argument("--family", default="custom", help="what it is for: chat, crm, erp, …")
        new.add_argument("--yaml", action="store_true", help="a template instead of code, for JSON over HTTP")
        new.add_argument("--app", help="the Django app to write into; without it, this project's own connectors")
        commands.add_parser("list", help="Show every registered connector, and what could not be used.")
        docs = commands.add_parser("docs", help="Write the pages in docs/connectors/ from the manifests.")
        docs.add_argument("--check", action="store_true", help="write nothing; fail if a page is stale")
        pages = scaffold.INTEGRATIONS.parent / "docs" / "connectors"
        docs.add_argument("--to", type=Path, default=pages, help="the folder; without it docs/connectors")
        texts = commands.add_parser("texts", help="Write the words of the manifests where makemessages finds them.")
        texts.add_argument("--to", type=Path, default=OURS, help="a Python file; without it, that of this package")

    def handle(self, *args: Any, **options: Any) -> None:
        acts = {"new": self._new, "list": self._list, "docs": self._docs, "texts": self._texts}
        acts[options["command"]](options)

    def _new(self, options: dict[str, Any]) -> None:
        name = options["name"]
        try:
            scaffold.check_names(name, options["family"])
            self._refuse_taken(name)
            place = self._place(name, options["app"])
            plan = scaffold.plan(name, options["family"], place, is_yaml=options["yaml"])
            plan.write()
        except scaffold.ScaffoldError as error:
            raise CommandError(str(error)) from None
        for path in plan.files:
            self.stdout.write(f"wrote {path}")
        self.stdout.write(f"{plan.next_steps}\nTest it:     python -m pytest {plan.test}")

    @staticmethod
    def _refuse_taken(name: str) -> None:
        try:
            kind = ConnectorRegistry.type_of(name)
        except (UnknownConnector, IncompatibleConnector):
            return
        raise scaffold.ScaffoldError(f"there is a connector {name} already: {connector_pages.origin_of(kind)}")

    @staticmethod
    def _place(name: str, app: str | None) -> scaffold.Place:
        if app is None:
            return scaffold.here(name)
        try:
            config = apps.get_app_config(app.rpartition(".")[2])
        except LookupError:
            raise scaffold.ScaffoldError(f"there is no app {app} in INSTALLED_APPS") from None
        return scaffold.in_app(name, Path(config.path), config.name)

    def _list(self, options: dict[str, Any]) -> None:
        rows = [("key", "family", "version", "from")]
        for kind in ConnectorRegistry.all():
            manifest = kind.manifest
            rows.append((manifest.key, manifest.family, manifest.version, connector_pages.origin_of(kind)))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            self.stdout.write("  ".join(text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True)))
        for name, problem in sorted(ConnectorRegistry.broken().items()):
            self.stderr.write(f"{name} cannot be used: {problem}")

    def _docs(self, options: dict[str, Any]) -> None:
        wanted = connector_pages.pages(kind for kind in ConnectorRegistry.all() if connector_pages.is_ours(kind))
        mark, check = connector_pages.GENERATED, options["check"]
        if said := write_pages(options["to"], wanted, mark, command="connector docs", check=check):
            self.stdout.write(said)

    def _texts(self, options: dict[str, Any]) -> None:
        path: Path = options["to"]
        wanted = path.resolve() == OURS
        kinds = [kind for kind in ConnectorRegistry.all() if connector_pages.is_ours(kind) == wanted]
        path.write_text(connector_pages.texts(kinds))
        self.stdout.write(f"{path}: the texts of {len(kinds)} connectors")
