"""The state of an integration as a badge of the admin."""

from __future__ import annotations

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.delivery.models import Lane
from integrations.health.rule import Health
from integrations.pages.display import Badge, clock, exact

COUNTED = 1000


def badge_of(health: Health) -> Badge:
    """Return the state of an integration in one word."""
    hint = f"{health.why} {health.what_to_do}".strip()
    if health.since is not None:
        hint = f"Since {exact(health.since)}. {hint}"
    if health.until is not None:
        hint = f"{hint} Until {clock(health.until)}."
    return Badge(health.kind, health.label, hint)


def is_being_deleted(integration: TenantIntegration | None) -> bool:
    """Tell whether somebody deleted it and its rows are still on their way out; needs its lane joined."""
    lane: Lane | None = getattr(integration, "lane", None)
    return lane is not None and lane.deleting_since is not None


def rotation_badge(integration: TenantIntegration) -> Badge | None:
    """Return an amber badge for credentials that are due to be changed."""
    days = integration.overdue_days
    if days is None:
        return None
    return Badge(
        "warn", "⚠ Rotate", f"The credentials are {days} days old; change them every {conf.ROTATE_EVERY_DAYS} days."
    )
