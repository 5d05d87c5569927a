"""What a call or a pull shares with the lane of its integration: one circuit breaker, one pace, one `Retry-After`.

A delivery asks for a lane's state once per slice, under the lease; a call asks for it before each request, and needs no
lease: it moves no row. It reads and writes the lane's columns as operators do, by single statements:

    before   the destination's own pause still lasts  → refused, nothing is sent
             the breaker is half-open                 → one request is let through, as the probe
             a rate limit                             → the next start is booked on the lane, and waited for
    after    taken                                    → failures forgotten, breaker closed
             5xx, timeout, no connection              → counted; BREAKER_FAILURES_TO_OPEN in a row open it
             Retry-After                              → the lane rests so long

A call has no others whom it could ask for a second opinion: the probe that follows, a delivery's or another call's,
says whether the destination is down. A holder of the lane learns of all this with its next slice.

Inside a caller's transaction the lane is read and not written, or its row would stay locked for as long as that lasts
and no worker could settle: what is to be written waits for the commit, and the pace is kept by this gate alone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.models import Case, F, Q, When
from django.db.models.functions import Now

from integrations import conf
from integrations.audit.patience import briefly, commits_at_once
from integrations.connections.models import TenantIntegration
from integrations.connections.row import ConnectionRow
from integrations.connectors.manifest import Manifest
from integrations.counted import counted
from integrations.database import sql
from integrations.database.times import after
from integrations.errors import DESTINATION, QUOTA, IntegrationError, IntegrationRateLimited, IntegrationTemporaryError
from integrations.retry_policy import asked_seconds
from integrations.telemetry.logs import one_line

from . import run_slot
from .lease import USING
from .models import Lane
from .pacing import Pacer, interval_of
from .verdicts import ASKED, BREAKER_OPEN, OWN_LIMIT, CircuitBreaker
from .wakeup import wake_idle

logger = logging.getLogger("integrations.delivery")

SHARED = (BREAKER_OPEN, ASKED, OWN_LIMIT)  # other pauses are the lane's alone
TABLE = Lane._meta.db_table


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request that was let through; `is_probe`: alone, to see whether the destination is back."""

    is_probe: bool = False
    is_clean: bool = True  # there was nothing that a success would have to end


class CallGate:
    """The gate (transport/port.py) of one adapter.

    Args:
        longest: seconds that a request may take: a probe that does not come back is over then.
        interval: seconds between two requests; 0: no limit.

    Attributes:
        patience: the longest wait, in seconds, for a turn; None: HTTP_WAIT_CAP_SECONDS.
    """

    def __init__(self, integration_id: int, name: str, *, longest: float, interval: float) -> None:
        self.integration_id, self.name = integration_id, name
        self.patience: float | None = None
        self._longest, self._interval = longest, interval
        self._ids = {"integration_id": integration_id}
        self._own = Pacer(interval, 0.0, time.monotonic)  # where nothing can be booked

    @property
    def is_paced(self) -> bool:
        """Tell whether requests may have to wait for their turn."""
        return self._interval > 0

    def enter(self) -> Ticket:
        """Wait for a turn, no longer than `patience`.

        Raises:
            IntegrationTemporaryError: ``circuit_open``.
            IntegrationRateLimited: the destination asked us to wait, or our own limit is reached.
        """
        try:
            ticket = self._admitted()
            wait = self._booked()
        except DatabaseError as error:  # what we know of the destination is no reason not to ask it
            logger.warning("%s: the lane could not be asked: %s", self.name, type(error).__name__, extra=self._ids)
            return Ticket()
        finally:
            if (stay := run_slot.current()) is not None:  # while we wait, others may need the connection
                stay.give_back_connections()
        if wait:
            time.sleep(wait)
        return ticket

    def note(self, ticket: Ticket, error: IntegrationError | None) -> bool:
        """Count how a request ended; return False if the breaker is open now."""
        try:
            if error is None:
                if not ticket.is_clean:
                    self._write(self._close)
            elif isinstance(error, IntegrationTemporaryError) and error.fault == DESTINATION:
                return self._write(lambda: self._fail(ticket, _asked(error))) is not False
            else:
                asked = _asked(error)
                if asked or ticket.is_probe:
                    self._write(lambda: self._rest(ticket, asked))
        except DatabaseError as problem:
            logger.warning("%s: the lane could not be told: %s", self.name, type(problem).__name__, extra=self._ids)
        return True

    # -- before ---------------------------------------------------------------------------------------------

    def _admitted(self) -> Ticket:
        left = sql.seconds_until(connections[USING].vendor, "paused_until")
        with connections[USING].cursor() as cursor:
            cursor.execute(
                f"SELECT {left}, pause_reason, consecutive_failures, times_opened FROM {TABLE} "  # noqa: S608
                "WHERE integration_id = %s",
                [self.integration_id],
            )
            found = cursor.fetchone()
        if found is None:
            return Ticket()
        rests, reason, failures, times_opened = found
        if rests is not None and rests > 0 and reason.startswith(SHARED):
            raise self._refusal(reason, rests)
        if not times_opened:
            return Ticket(is_clean=not failures)
        if commits_at_once(USING):
            # The lane rests while our request is under way: of ten callers, one asks whether it is back.
            probed = {"paused_until": after(self._longest), "pause_reason": f"{BREAKER_OPEN}: being probed"}
            with briefly(USING):
                is_ours = self._rested().update(**probed)
            if not is_ours:
                raise self._refusal(f"{BREAKER_OPEN}: another request is the probe", self._longest)
        return Ticket(is_probe=True, is_clean=False)

    def _booked(self) -> float:
        """Book the next start, and return the seconds until then."""
        if not self._interval:
            return 0.0
        longest = conf.HTTP_WAIT_CAP_SECONDS if self.patience is None else self.patience
        if not commits_at_once(USING):
            wait = self._own.wait(longest)
            if wait is None:
                raise self._limited(self._own.next_at - time.monotonic())
            return wait
        vendor = connections[USING].vendor
        ahead = f"COALESCE({sql.seconds_until(vendor, 'next_send_at')}, 0.0)"
        start = sql.greatest(vendor, ahead, "0.0")
        with briefly(USING), connections[USING].cursor() as cursor:
            cursor.execute(
                f"UPDATE {TABLE} SET next_send_at = {sql.shifted(vendor, f'{start} + %s')} "  # noqa: S608
                f"WHERE integration_id = %s AND {ahead} <= %s RETURNING {sql.seconds_until(vendor, 'next_send_at')}",
                [self._interval, self.integration_id, longest],
            )
            found = cursor.fetchone()
            if found is None:
                cursor.execute(f"SELECT {ahead} FROM {TABLE} WHERE integration_id = %s", [self.integration_id])  # noqa: S608
                left = cursor.fetchone()
        if found is not None:
            return max(0.0, float(found[0]) - self._interval)
        if left is None:  # no lane, no pace
            return 0.0
        raise self._limited(float(left[0]))

    def _limited(self, left: float) -> IntegrationRateLimited:
        per_minute = f"{60 / self._interval:g} requests a minute"
        return IntegrationRateLimited(
            f"{self.name}: {OWN_LIMIT} of {per_minute} is reached; try again in {math.ceil(left)} s",
            code="paced",
            retry_after=left,
            was_sent=False,
        )

    def _refusal(self, reason: str, seconds: float) -> IntegrationError:
        is_open = reason.startswith(BREAKER_OPEN)
        kind = IntegrationTemporaryError if is_open else IntegrationRateLimited
        return kind(
            f"{self.name} is not asked now: {reason}; try again in {math.ceil(seconds)} s",
            code="circuit_open" if is_open else "paused",
            retry_after=seconds,
            was_sent=False,
        )

    # -- after ----------------------------------------------------------------------------------------------

    def _write(self, action: Callable[[], Any]) -> Any:
        """Run `action` in a short transaction of its own; inside the caller's one: after that, if it commits."""
        if not commits_at_once(USING):
            transaction.on_commit(lambda: self._write(action), using=USING, robust=True)
            return None
        with briefly(USING):
            return action()

    def _lanes(self) -> Any:
        return Lane.objects.using(USING).filter(pk=self.integration_id)

    def _rested(self) -> Any:
        return self._lanes().filter(Q(paused_until=None) | Q(paused_until__lte=Now()))

    def _close(self) -> None:
        """Something was taken: what failed before speaks against the destination no more."""
        breakers = Q(pause_reason__startswith=BREAKER_OPEN)
        self._lanes().filter(breakers).update(paused_until=None, pause_reason="")
        closed = {"breaker": Lane.Breaker.CLOSED, "consecutive_failures": 0, "times_opened": 0, "opened_at": None}
        if self._lanes().update(**closed):
            transaction.on_commit(lambda: wake_idle([self.integration_id]), using=USING, robust=True)

    def _fail(self, ticket: Ticket, asked: float) -> bool:
        """Count a failure; return False if the destination is left alone from now on."""
        self._lanes().update(consecutive_failures=F("consecutive_failures") + 1, last_failure_at=Now())
        found = self._lanes().values_list("consecutive_failures", "times_opened").first()
        if found is None:
            return True
        breaker = CircuitBreaker(*found)
        if not breaker.is_in_doubt:
            self._rest(ticket, asked)
            return True
        breaker.open()
        pause = max(breaker.pause or 0.0, _capped(asked))
        failures = f"{BREAKER_OPEN}: {counted(breaker.failures, 'failure')} in a row"
        # Once, however many requests were under way when it opened.
        lanes = self._lanes() if ticket.is_probe else self._rested()
        opened = lanes.filter(times_opened=found[1]).update(
            breaker=Lane.Breaker.OPEN,
            times_opened=breaker.times_opened,
            opened_at=Case(When(times_opened=0, then=Now()), default=F("opened_at")),
            paused_until=after(pause),
            # A breaker's pause ends with the next success, what was asked for does not.
            pause_reason=f"{ASKED} to wait" if asked else failures,
        )
        if not opened and asked:
            self._rest(ticket, asked)
        if opened:
            logger.warning("%s: the circuit breaker is open for %.0f s", self.name, pause, extra=self._ids)
        return False

    def _rest(self, ticket: Ticket, asked: float) -> None:
        """Let the lane rest as long as was asked; a probe that says neither yes nor no ends its own rest."""
        until, reason = after(_capped(asked)), f"{ASKED} to wait"
        if ticket.is_probe:
            claimed = self._lanes().filter(pause_reason__startswith=BREAKER_OPEN)
            if claimed.update(paused_until=until if asked else None, pause_reason=reason if asked else ""):
                return
        if asked:
            shorter = self._lanes().filter(Q(paused_until=None) | Q(paused_until__lt=until))
            if not shorter.update(paused_until=until, pause_reason=reason):
                # It rests for longer already; if for a reason that no call minds, they mind this one.
                self._lanes().exclude(pause_reason__startswith=ASKED).update(pause_reason=reason)


def gate_of(connection: ConnectionRow, manifest: Manifest, longest: float) -> CallGate | None:
    """Return the gate for requests of `connection`'s adapters; None: a host's own connection has no lane."""
    if not isinstance(connection, TenantIntegration):
        return None
    name = one_line(connection.name)  # it stands in lines of the log
    return CallGate(connection.pk, name, longest=longest, interval=interval_of(connection, manifest))


def _asked(error: IntegrationError) -> float:
    """Return how long the destination asked us to wait, 0 if it did not: our own guess holds up no call."""
    waits = error.fault == QUOTA or isinstance(error, IntegrationRateLimited | IntegrationTemporaryError)
    return asked_seconds(error.retry_after) if waits else 0.0


def _capped(asked: float) -> float:
    return min(asked, conf.RETRY_AFTER_CAP_SECONDS)
