"""Who may send: at most one worker holds an integration's lane (one conditional UPDATE, database clock)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from django.db.models import Q
from django.db.models.functions import Now

from integrations import conf
from integrations.database_clock import after

from .models import Lane


class LeaseLost(Exception):
    """Our lease ran out and somebody else may be sending: what we know must not be written any more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one integration's rows; `token` is the fence that a stale holder cannot pass."""

    integration_id: int
    token: str = field(repr=False)

    @property
    def row(self) -> Q:
        """The condition under which a write of the holder counts."""
        return Q(pk=self.integration_id, lease_token=self.token)


def free() -> Q:
    """The condition of a lane that nobody holds."""
    return Q(lease_expires_at=None) | Q(lease_expires_at__lte=Now())


def rested() -> Q:
    """The condition of a lane that is not paused."""
    return Q(paused_until=None) | Q(paused_until__lte=Now())


def take(integration_id: int) -> Lease | None:
    """Take the lane, or return None: somebody holds it, it is paused, or it is gone."""
    token = secrets.token_hex(16)
    taken = Lane.objects.filter(free(), rested(), pk=integration_id).update(
        lease_token=token, lease_expires_at=after(conf.LEASE_SECONDS)
    )
    return Lease(integration_id, token) if taken else None


def extend(lease: Lease, seconds: float) -> None:
    """Hold the lane for another `seconds`.

    Raises:
        LeaseLost: it is no longer ours.
    """
    if not Lane.objects.filter(lease.row).update(lease_expires_at=after(seconds)):
        raise LeaseLost


def release(lease: Lease) -> None:
    """Give the lane back, if it is still ours."""
    Lane.objects.filter(lease.row).update(lease_token="", lease_expires_at=None)
