"""Who may send: at most one worker holds an integration's lane (one conditional UPDATE, the database's clock).

Taking and renewing return what the lane and its integration are at that moment: nothing else is read for a slice but
its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from django.db import connections
from django.db.models import F
from django.db.models.expressions import Col

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.database import sql
from integrations.database.clock import elapsed
from integrations.database.leases import RELEASED, LeaseLost, new_token

from . import statements
from .models import Lane
from .statements import State

USING = "default"
Values = dict[str, tuple[str, Sequence[Any]]]  # columns of a lane: name → SQL, parameters

# A new turn begins: a hint that was sent while the lease had run out, and was dropped because we were still there, must
# not count as under way any more (docs/model/: RELEASE_KEEPS_TURN, RELEASE_KEEPS_MARK).
GIVEN_BACK = {"lease_expires_at": "NULL", "lease_token": "''", "turn": "turn + 1", "hinted_at": "NULL"}


@dataclass(slots=True)
class Lease:
    """The right to send one integration's rows; `token` is the fence that a stale holder cannot pass.

    Attributes:
        state, integration: as they were when the lease was taken or renewed last.
        ends_at: when it runs out at the earliest, on the clock of `elapsed`.
        is_held: False once it was given back.
    """

    integration_id: int
    token: str = field(repr=False)
    state: State
    integration: TenantIntegration
    ends_at: float
    is_held: bool = True

    def renew(self, values: Values | None = None, *, seconds: float | None = None) -> None:
        """Hold the lane for another `seconds` (LEASE_SECONDS), and write columns of it.

        With `seconds` 0 the lane is given back by the same statement.

        Raises:
            LeaseLost: it is no longer ours (or gone); nothing was written.
        """
        vendor = connections[USING].vendor
        wanted = conf.LEASE_SECONDS if seconds is None else seconds
        if wanted:
            lease = {"lease_expires_at": (sql.shifted(vendor, "%s"), [float(wanted)])}
        else:
            lease = {name: (value, []) for name, value in GIVEN_BACK.items()}
        parts = {**(values or {}), **lease}
        statement = statements.renew(vendor, ", ".join(f"{name} = {value}" for name, (value, _) in parts.items()))
        started = elapsed()
        parameters = [parameter for _, found in parts.values() for parameter in found]
        found = _returned(statement, [*parameters, self.integration_id, self.token], self.integration_id, self.token)
        if found is None:
            raise LeaseLost
        if not wanted:
            self.is_held = False
        elif found:
            self.state, self.integration = found
        self.ends_at = started + wanted

    def become(self, other: Lease) -> None:
        """Be as `other` was: what was renewed since then is rolled back."""
        self.state, self.integration = other.state, other.integration
        self.ends_at, self.is_held = other.ends_at, other.is_held


def take(integration_id: int, turn: int | None = None) -> Lease | None:
    """Take the lane, or return None: somebody holds it, it is paused, being deleted, or gone.

    Args:
        turn: as a hint names it; None also if somebody has taken that turn since: they saw what the hint was about.
    """
    token = new_token()
    sql = statements.take(connections[USING].vendor, only_turn=turn is not None)
    started = elapsed()
    parameters = [token, integration_id] if turn is None else [token, integration_id, turn]
    found = _returned(sql, parameters, integration_id, token)
    if not found:
        return None
    state, integration = found
    return Lease(integration_id, token, state, integration, started + conf.LEASE_SECONDS)


def release(lease: Lease) -> None:
    """Give the lane back, if it is still ours."""
    if lease.is_held:
        lease.is_held = False
        ours = Lane.objects.filter(pk=lease.integration_id, lease_token=lease.token)
        ours.update(turn=F("turn") + 1, hinted_at=None, **RELEASED)


def _returned(sql: str, parameters: Sequence[Any], integration_id: int, token: str) -> Any:
    """Run an UPDATE of the lane; return (state, integration), () if they cannot be read, None if no row was ours."""
    connection = connections[USING]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
        if row is None:
            return None
        if connection.vendor != "postgresql":
            cursor.execute(statements.read_both(connection.vendor), [integration_id, token])
            row = cursor.fetchone()
            if row is None:  # given back in the same statement
                return ()
    count = len(State._fields)
    values = list(row[count : count + len(TenantIntegration._meta.concrete_fields)])
    for place, convert in _converters():
        values[place] = convert(values[place])
    model: Any = TenantIntegration  # not `from_db`: nobody saves this one, so it need not know what was read
    integration: TenantIntegration = model(*values)
    integration._state.adding, integration._state.db = False, USING
    return State(*row[:count]), integration


@lru_cache(maxsize=1)
def _converters() -> list[tuple[int, Callable[[Any], Any]]]:
    """Return, by their places, what turns those of the integration's columns into Python's that need it."""
    connection, table = connections[USING], TenantIntegration._meta.db_table
    found: list[tuple[int, Callable[[Any], Any]]] = []
    for place, model_field in enumerate(TenantIntegration._meta.concrete_fields):
        expression = Col(table, model_field)
        for step in (*connection.ops.get_db_converters(expression), *model_field.get_db_converters(connection)):
            found.append((place, partial(step, expression=expression, connection=connection)))
    return found
