"""What an API key may be allowed: each scope is a name and the capabilities (tenancy/capabilities.py) that it carries.

A project adds scopes for resources of its own, once, when it starts:

    register_scope(Scope("invoices:write", "Write invoices", permissions=("billing.change_invoice",)))

and asks the caller of its operations for it (api/v1/extend.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext_noop

from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role

_NAME = re.compile(r"[a-z][a-z0-9_-]*(:[a-z][a-z0-9_-]*)?", re.ASCII)
LONGEST = 50


@dataclass(frozen=True, slots=True)
class Scope:
    """One thing that a key may be allowed.

    Attributes:
        name: as programs write it, ``deliveries:write``.
        words: what it allows, for people; pages translate it, so mark it with ``gettext_noop``.
        capabilities: what a holder may do here; none: only the project knows what it means.
        permissions: those of Django that a person needs to give it to a key, and to do without a key what it allows.
            With neither capabilities nor permissions it is for keys alone, and every manager may give it.
    """

    name: str
    words: str
    capabilities: frozenset[Capability] = frozenset()
    permissions: tuple[str, ...] = ()


_registered: dict[str, Scope] = {}


def register_scope(scope: Scope) -> None:
    """Offer `scope` on the form for new keys.

    Raises:
        ValueError: its name is none, or is taken by a different scope.
    """
    if not _NAME.fullmatch(scope.name) or len(scope.name) > LONGEST:
        raise ValueError(f'A scope is named as "invoices:write", at most {LONGEST} characters; not {scope.name!r}.')
    if _registered.setdefault(scope.name, scope) != scope:
        raise ValueError(f"There is another scope {scope.name!r} already.")


def scopes() -> list[Scope]:
    """Return all scopes, in the order in which they were registered."""
    return list(_registered.values())


def unknown(names: Iterable[str]) -> list[str]:
    """Return those of `names` that no scope has."""
    return sorted({name for name in names if name not in _registered})


def capabilities_of(names: Iterable[str]) -> frozenset[Capability]:
    """Return what the scopes called `names` allow together; one that is gone allows nothing."""
    found = (_registered[name].capabilities for name in names if name in _registered)
    return frozenset().union(*found)


READ = Scope(
    "read",
    gettext_noop("See everything of the tenant, secrets apart"),
    frozenset(capability for capability in Capability if capability.role == Role.VIEWER),
)
DELIVERIES = Scope(
    "deliveries:write",
    gettext_noop("Retry, replay and cancel deliveries; test, pause and resume integrations; push orders"),
    frozenset(capability for capability in Capability if capability.role == Role.OPERATOR),
)
INTEGRATIONS = Scope(
    "integrations:write",
    gettext_noop("Set up, change and delete integrations, their secrets included"),
    frozenset({Capability.ADD, Capability.SETTINGS, Capability.SECRETS, Capability.DELETE, Capability.BACKFILL}),
)
AUDIT = Scope("audit:read", gettext_noop("Read the audit trail"), frozenset({Capability.AUDIT}))
for _scope in (READ, DELIVERIES, INTEGRATIONS, AUDIT):
    register_scope(_scope)
