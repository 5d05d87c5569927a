"""The page of the management commands, from their own parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from django.core.management.base import BaseCommand

from integrations.management import commands
from integrations.management.markdown import table

_INTRO = """# Management commands

`python manage.py <command>`; each also takes Django's own options (`--settings`, `--verbosity`, …)."""
_EVERYWHERE = {action.dest for action in BaseCommand().create_parser("manage.py", "any")._actions}


def page() -> str:
    """Return the page: every command of ours with its arguments."""
    names = sorted(module.name for module in iter_modules(commands.__path__))
    return "\n\n".join([_INTRO, *(_command(name) for name in names)])


def _command(name: str) -> str:
    command: BaseCommand = import_module(f"{commands.__name__}.{name}").Command()
    parser = command.create_parser("manage.py", name)
    parts = [f"## `{name}`", _plain(command.help)]
    for words, below in _subcommands(parser):
        parts.append(f"`{name} {words[0]}`: {words[1]}")
        if rows := list(_rows(below)):
            parts.append(table(("argument", "default", "meaning"), rows))
    if rows := list(_rows(parser)):
        parts.append(table(("argument", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[tuple[str, str], argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words = {each.dest: each.help or "" for each in action._choices_actions}
            for name, below in action.choices.items():
                yield (name, _plain(words.get(name, ""))), below


def _rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, str]]:
    for action in parser._actions:
        if action.dest in _EVERYWHERE or isinstance(action, argparse._SubParsersAction):
            continue
        name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        if action.option_strings and action.nargs != 0:
            name += f" {action.metavar or action.dest.upper()}"
        words = argparse.HelpFormatter(parser.prog)._expand_help(action) if action.help else ""
        is_required = action.option_strings and action.required
        yield f"`{name}`", _default(action), _plain(f"{words} (required)" if is_required else words)


def _default(action: argparse.Action) -> str:
    value: Any = action.default
    if value in (None, False, "", [], argparse.SUPPRESS) or not isinstance(value, str | int | float):
        return ""
    return f"`{value}`"


def _plain(text: str) -> str:
    """Return a help text as Markdown: nothing in it is a mark."""
    return text.replace("<", "&lt;").replace("*", "\\*").strip()
