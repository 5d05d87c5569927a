"""Whether settings may take the place of others: the one check of forms, of the API and of code.

In: a connector type, a flat dict of settings, and those in whose place they come. Out: the settings in their types, and
what is wrong, by field. The manifest says what a value may be (connectors/config_check.py); here is what depends on
what was stored before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check
from integrations.connectors.manifest import HEADERS
from integrations.credentials.masking import MASK, is_mask

from .destinations import destinations

_PLACE_NAME = re.compile(r"url|uri|host|server|domain|endpoint|address", re.IGNORECASE)


def checked_change(
    connector: type[BaseConnector], settings: Mapping[str, Any], stored: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (settings with defaults and in their types, {field: what is wrong}).

    An address that stays as it is may stay although an operator's rule refuses it now: people must be able to change
    what is beside it. Nothing is sent there (transport/guard.py).

    Args:
        stored: those in whose place they come; {}: they are new.
    """
    manifest = connector.manifest
    clean, problems = check(manifest, settings, stored)
    problems = dict(problems or connector.validate_change(clean, stored))
    for name in problems.keys() & settings.keys() & stored.keys():
        field = manifest.field(name)
        if field is not None and field.kind == "url" and settings[name] == stored[name]:
            del problems[name]
            clean[name] = settings[name]
    return clean, problems


def kept_elsewhere(
    connector: type[BaseConnector], stored: Mapping[str, Any], clean: Mapping[str, Any], entered: Mapping[str, Any]
) -> list[str]:
    """Return the stored secrets that `clean` settings would send to another server without anybody entering them anew.

    A secret goes to the server that it was entered for. Otherwise whoever may edit the settings could read every secret
    behind the dots by having it sent to them.

    Args:
        entered: what the person gave; dots, or nothing, for what they left as it is.
    """
    manifest = connector.manifest
    if manifest.is_open:  # nobody says what its settings mean, so whatever looks like a place is one
        is_moved = any(stored[name] != clean.get(name) for name in stored if _is_place(name, stored[name]))
    else:
        is_moved = bool(destinations(connector, clean) - destinations(connector, stored))
    if not (stored and is_moved):
        return []
    return [
        name
        for name, value in stored.items()
        if not (manifest.is_open and _is_place(name, value))
        and (name == HEADERS or manifest.is_open or name in manifest.secret_names)
        and _is_kept(value, clean.get(name), entered.get(name, MASK))
    ]


def _is_place(name: str, value: Any) -> bool:
    return "://" in str(value) or bool(_PLACE_NAME.search(name))


def _is_kept(old: Any, new: Any, entered: Any) -> bool:
    """Tell whether something of the secret `old` is still in `new` without having been `entered` again."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        told = entered if isinstance(entered, Mapping) else dict.fromkeys(old, entered)
        return any(_is_kept(old[key], new[key], told.get(key, MASK)) for key in old.keys() & new.keys())
    return bool(new == old and is_mask(entered))
