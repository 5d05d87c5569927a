"""The pages of docs/reference/: what the code says of itself, for people. Nothing in them is written by hand.

    events.py    the event types, with fields and an example
    api.py       every operation of the API
    errors.py    the tree of errors, whose fault an answer is, the problems of the API
    commands.py  the management commands with their options

Connectors have their own pages (connector_pages.py), and so have the settings (``integration_settings``).
"""

from __future__ import annotations

from . import api, commands, errors, events

GENERATED = "<!-- Written by `manage.py integration_reference`. Edit the code, not this page. -->"


def pages() -> dict[str, str]:
    """Return {file name: Markdown} of every page."""
    found = {
        "event-types.md": events.page(),
        "api.md": api.page(),
        "errors.md": errors.page(),
        "commands.md": commands.page(),
    }
    return {name: f"{GENERATED}\n\n{text.strip()}\n" for name, text in found.items()}
