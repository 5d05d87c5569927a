"""Who may work on a row: its columns `lease_token` and `lease_expires_at`, by the database's clock.

A lane, a pulled state and a job are each held by one worker at a time. Taking one is one conditional UPDATE; its random
token is the fence: whoever comes back after the lease has run out finds another token, and writes nothing. What else
taking each of them means stands beside it: delivery/lease.py, pull/lease.py, jobs/run.py.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from .times import after

RELEASED: dict[str, Any] = {"lease_token": "", "lease_expires_at": None}  # for `update()`


class LeaseLost(Exception):
    """Our lease ran out and somebody else may be at it: what we know must not be written any more."""


def new_token() -> str:
    """Return a token that nobody has, of 32 characters."""
    return secrets.token_hex(16)


def free() -> Q:
    """The condition of a row that nobody holds."""
    return Q(lease_expires_at=None) | Q(lease_expires_at__lte=Now())


def taken(token: str, seconds: float) -> dict[str, Any]:
    """Return the columns of a row that is held with `token` for `seconds`, for `update()`."""
    return {"lease_token": token, "lease_expires_at": after(seconds)}
