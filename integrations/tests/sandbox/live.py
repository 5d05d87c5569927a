"""Which providers' sandboxes may be asked: their settings, from environment variables.

SANDBOX_SLACK_WEBHOOK_URL=https://hooks.slack.com/services/…    a field of the kind's manifest, in capitals
SANDBOX_SLACK_DELIVER=1                                         an event may be sent, too
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest


@dataclass(frozen=True)
class Sandbox:
    """One provider's account for trying.

    Attributes:
        settings: of the connector, as a person would fill them in; {} if something is missing.
        missing: the variables that are not set.
        may_deliver: events may be sent.
    """

    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    missing: tuple[str, ...] = ()
    may_deliver: bool = False


def sandbox_of(kind: type[BaseConnector], environ: Mapping[str, str]) -> Sandbox:
    """Return what `environ` says of the sandbox of this kind of system."""
    manifest = kind.manifest
    given = {one.name: environ.get(variable(manifest, one.name), "") for one in manifest.fields}
    settings = {name: value for name, value in given.items() if value}
    missing = [one.name for one in manifest.fields if one.required and one.default is None and not given[one.name]]
    if not settings:  # nobody means it, even if nothing is required
        missing = missing or [one.name for one in manifest.fields][:1]
    if missing:
        return Sandbox(missing=tuple(variable(manifest, name) for name in missing))
    return Sandbox(settings, may_deliver=environ.get(variable(manifest, "deliver")) == "1")


def variable(manifest: Manifest, name: str) -> str:
    """Return the variable for one field."""
    return f"SANDBOX_{manifest.key}_{name}".upper()
