"""What both versions of the API check before they save: event types, inbound actions."""

from __future__ import annotations

from collections.abc import Collection

from django.http import HttpRequest

from integrations.connections import event_types
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import ConfigurationError
from integrations.inbound.actions import action_choices

from .caller import caller_of


def check_events(integration: TenantIntegration, names: list[str], stored: Collection[str]) -> None:
    """Refuse event types that nobody emits, and those that this kind of system cannot take; what is stored may stay.

    Raises:
        ConfigurationError: what is wrong with ``events``.
    """
    manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    offered = dict(event_types.offered_to(manifest)).keys() | set(stored)
    known = dict(event_types.choices())
    if cannot := [name for name in names if name in known and name not in offered]:
        raise ConfigurationError({"events": "; ".join(event_types.refusal(name, manifest) for name in cannot)})
    check_names("events", names, sorted(offered))


def check_names(field: str, names: list[str], known: Collection[str]) -> None:
    """Refuse `names` that are not `known`.

    Raises:
        ConfigurationError: what is wrong with `field`.
    """
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError({field: f"{len(unknown)} unknown; there are: {', '.join(known)}"})


def tick(request: HttpRequest, integration: TenantIntegration, names: list[str]) -> None:
    """Put what it may do when it calls back on `integration` (not saved).

    Raises:
        ConfigurationError: what is wrong with ``inbound_actions``.
    """
    # What is ticked already may stay, offered or not: whoever sends back what they got says nothing wrong.
    ticked = integration.inbound_actions
    check_names("inbound_actions", names, [*(name for name, _ in action_choices()), *ticked])
    if problem := caller_of(request).refusal_to_tick(names, ticked, integration.tenant_id):
        raise ConfigurationError({"inbound_actions": problem})
    integration.inbound_actions = sorted(set(names))
