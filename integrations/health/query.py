"""How very many integrations are, without reading them: the rule (rule.py) asked by the database.

At 5,000 integrations judging one after the other takes half a second; a list needs no more of them than how many there
are of each kind, and one page in order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, IntegerField, Q, QuerySet, Value, When
from django.db.models import Case as FirstOf

from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connectors.registry import manifests
from integrations.pull.models import SyncState

from .reading import LANE, awaiting, facts_of_type, may_await, reads
from .rule import OTHERWISE, RULE, Case

NUMBER = "health_number"


def numbered(
    integrations: QuerySet[TenantIntegration], number_of: Callable[[Case], int], now: datetime
) -> QuerySet[TenantIntegration]:
    """Return `integrations`, each with `number_of` the case in which the rule sees it at `now`, as ``health_number``.

    Whoever sorts or counts by what is the same for several cases gives them one number.
    """
    facts = _facts(integrations)
    columns = {**_OWN, **{name: f"lane__{name}" for name in LANE}, **{name: f"health_{name}" for name in facts}}
    cases = [When(condition.q(columns, now), then=Value(number_of(case))) for case, condition in RULE]
    rule = FirstOf(*cases, default=Value(number_of(OTHERWISE)), output_field=IntegerField())
    named: Any = integrations.alias(**{f"health_{name}": fact for name, fact in facts.items()})
    return named.annotate(**{NUMBER: rule})


# What the rule calls a column of the integration itself.
_OWN = {
    "is_active": "is_active",
    "is_enabled": "is_enabled",
    "is_connected": "is_connected",
    "last_test_at": "last_test_at",
    "refusals": "auth_failure_count",
}


def _facts(integrations: QuerySet[TenantIntegration]) -> dict[str, Any]:
    """Return the facts that are no column, as expressions."""
    known = manifests()
    readers = ~Q(integration_type__in=[each.key for each in known if not reads(each)])
    failed = SyncState.objects.filter(status=SyncState.Status.FAILED)
    # Sets, and not EXISTS for each row: by that PostgreSQL reckons with so many steps that it compiles the statement
    # first (JIT), which takes several times as long as the statement.
    return {
        **_of_types(),
        "is_subscribed": _is(Q(pk__in=EventSubscription.objects.values("integration"))),
        "awaits_connection": _is(Q(pk__in=_waiting(integrations))),
        "pull_fails": _is(readers & Q(pk__in=failed.values("connection"))),
        "was_pulled": _is(
            readers & Q(pk__in=SyncState.objects.filter(last_sync_at__isnull=False).values("connection"))
        ),
    }


def _of_types() -> dict[str, Any]:
    """Return what connector types say, as expressions: a type that differs from one that is not installed is named."""
    otherwise, facts = facts_of_type(None), {}
    by_type = {manifest.key: facts_of_type(manifest) for manifest in manifests()}
    for name, value in otherwise.items():
        others = Q(integration_type__in=[key for key, said in by_type.items() if said[name] != value])
        facts[name] = _is(~others if value else others)
    return facts


def _waiting(integrations: QuerySet[TenantIntegration]) -> list[Any]:
    """Return the keys of those that wait for a person's consent: their settings, which are encrypted, say it."""
    types = [manifest.key for manifest in manifests() if may_await(manifest)]
    some = integrations.order_by().filter(integration_type__in=types, is_active=True, is_enabled=True)
    return sorted(awaiting(some))


def _is(condition: Q) -> ExpressionWrapper:
    return ExpressionWrapper(condition, output_field=BooleanField())
