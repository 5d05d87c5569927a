"""Find entries of the audit trail: the one search of console, API and export."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from .trail import AuditEntry

_OBJECT = re.compile(r"[a-z_0-9]+\.[a-z_0-9]+:.+")


def names_one(about: str) -> bool:
    """Tell whether `about` names one object, as ``tasks.workitem:42``: an index has its entries."""
    return _OBJECT.fullmatch(about) is not None


def narrow(
    rows: QuerySet[AuditEntry],
    *,
    actor: str = "",
    action: str = "",
    source: str = "",
    about: str = "",
    integration: Any = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[AuditEntry]:
    """Return those of `rows` that are chosen.

    Args:
        actor: the name of a user or of an API key, or a user's key.
        about: one object (`names_one`), or the key or a part of the name of some.
        integration: its primary key.
    """
    if actor:
        rows = rows.filter(Q(actor__iexact=actor) | Q(actor_key=actor))
    if action:
        rows = rows.filter(action__iexact=action)
    if names_one(about):
        kind, _, key = about.partition(":")
        rows = rows.filter(object_type=kind, object_key=key)
    elif about:
        rows = rows.filter(Q(object_name__icontains=about) | Q(object_key=about))
    said = {"source": source, "integration_key": integration, "created_at__gte": since, "created_at__lt": until}
    return rows.filter(**{name: value for name, value in said.items() if value not in ("", None)})
