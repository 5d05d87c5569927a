"""Do what a stored webhook asks for: once, and tell of it at least once.

    claim      one conditional UPDATE; `attempts` is the fence, `next_attempt_at` says when a claim is void
    effect     our own action and the mark "processed" commit together, or neither does
    announce   webhook_event_processed, when the mark is durable; until every receiver has heard, again

A crash before the mark repeats the whole; one after it only the announcement. Receivers of the signal may therefore
hear of a webhook twice; `webhook_event.pk` tells. A claim counts the attempt as unfinished, and whatever ends it takes
that back: a row whose last worker died is processed alone in its process, and given up after MAX_DEATHS of them. The
count stays then: no copy has it tried again (receive.py), only a person, alone and once.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from django.core.exceptions import ValidationError
from django.db import Error as DatabaseFailure
from django.db import models, router, transaction
from django.db.models.functions import Now

from integrations import conf, retry_policy
from integrations.acting import caused_by
from integrations.alone import MAX_DEATHS, PATIENCE, alone, times_died
from integrations.connections.abstract import AbstractConnection
from integrations.connections.models import TenantIntegration
from integrations.connectors.incoming import WebhookDTO, parse
from integrations.database import clock
from integrations.database.times import after
from integrations.errors import IntegrationError, IntegrationTemporaryError, printable
from integrations.lifecycle import announce_now, webhook_event_processed
from integrations.telemetry import tracing
from integrations.telemetry.logs import IdLogger, about

from .actions import asks_for_action, run_action
from .models import MAX_ERROR, AbstractWebhookEvent
from .receive import cut, described

logger = IdLogger(logging.getLogger("integrations.inbound"))

LAST_CHANCE = (
    MAX_DEATHS - 1
)  # `unfinished` of a row that a person has tried again: alone, and given up if that dies too
WAIT_SECONDS = 60.0  # how often a row is looked at whose connection takes nothing now


class ClaimLost(Exception):
    """Somebody else took the row over: what we did must not be written."""


def process(model: type[AbstractWebhookEvent], pk: Any) -> str:
    """Process one stored webhook if it is due; return what came of it, in a word. Never raises for what it says.

    ``unknown`` no such row · ``rejected`` its signature proved nothing · ``waiting`` its integration is switched off ·
    ``not due`` done, or in somebody's hands · ``processed`` · ``failed`` · ``given up`` its workers died · ``lost``
    taken over by another worker, or deleted meanwhile · ``busy`` its worker died, and this one has no quiet moment now
    """
    rows: models.QuerySet[Any] = model._base_manager.using(router.db_for_write(model))
    try:
        event = rows.select_related("connection").filter(pk=pk).first()
    except (TypeError, ValueError, OverflowError, ValidationError):  # no key of this model
        event = None
    if event is None:
        logger.warning("a message names an inbound webhook that does not exist")
        return "unknown"
    whose = {} if event.connection is None else event.connection.log_ids()
    named = {"integrations.connector_type": str(event.provider), "integrations.webhook_event_id": str(event.pk)}
    with about({**whose, "webhook_event_id": event.pk}), tracing.received(event.headers, named):
        return _process(rows, event, event.connection)


def _process(rows: models.QuerySet[Any], event: AbstractWebhookEvent, connection: AbstractConnection | None) -> str:
    if not event.signature_valid:
        return "rejected"
    if connection is not None and not (connection.is_enabled and connection.accepts_webhooks):
        rows.filter(pk=event.pk, next_attempt_at__lte=Now()).update(next_attempt_at=after(WAIT_SECONDS))
        return "waiting"
    if not event.unfinished:  # the usual: nobody died
        return _claimed_and_done(rows, event, connection)
    if not _unchanged(rows, event).exists():  # somebody is at it; of who died, the lease has not run out
        return "not due"
    with alone(PATIENCE) as is_alone:  # before it is claimed: who waits here may die of somebody else
        return _claimed_and_done(rows, event, connection) if is_alone else "busy"


def _claimed_and_done(
    rows: models.QuerySet[Any], event: AbstractWebhookEvent, connection: AbstractConnection | None
) -> str:
    if not _claim(rows, event):
        return "given up" if _give_up(rows, event) else "not due"
    return _Work(rows, event, connection).do()


def _claim(rows: models.QuerySet[Any], event: AbstractWebhookEvent) -> bool:
    """Take the row for INBOUND_LEASE_SECONDS, unless somebody did since it was read, it is not due, or was taken too
    often."""
    if _is_spent(event):
        return False
    unchanged = _unchanged(rows, event)
    status = event.status if event.status == event.Status.PROCESSED else event.Status.PROCESSING
    number, unfinished = event.attempts + 1, event.unfinished + 1
    until = after(conf.INBOUND_LEASE_SECONDS)
    if not unchanged.update(attempts=number, unfinished=unfinished, status=status, next_attempt_at=until):
        return False
    event.attempts, event.unfinished, event.status = number, unfinished, status
    return True


def _unchanged(rows: models.QuerySet[Any], event: AbstractWebhookEvent) -> models.QuerySet[Any]:
    return rows.filter(pk=event.pk, attempts=event.attempts, status=event.status, next_attempt_at__lte=Now())


def _is_spent(event: AbstractWebhookEvent) -> bool:
    """Tell whether too many workers in a row died with it, or the last one that the attempts allow.

    The very last one is granted whatever the attempts say: a person may have asked for it (`LAST_CHANCE`).
    """
    is_late = event.attempts >= conf.RETRY_MAX_ATTEMPTS
    return event.unfinished >= MAX_DEATHS or (0 < event.unfinished < LAST_CHANCE and is_late)


def _give_up(rows: models.QuerySet[Any], event: AbstractWebhookEvent) -> bool:
    """End a row whose attempts are spent; what is processed stays so, with the reason."""
    if not _is_spent(event):
        return False
    text, status = times_died(event.unfinished, conf.INBOUND_LEASE_SECONDS), event.Status.FAILED
    if event.status == event.Status.PROCESSED:
        text, status = f"{text}; a receiver of its signal may have missed it", event.Status.PROCESSED
    text = f"{text} (given up after {event.attempts} attempt{'s' if event.attempts > 1 else ''})"
    if not _unchanged(rows, event).update(status=status, error=text, next_attempt_at=None):
        return False
    logger.error("inbound webhook %s: %s", event.pk, text)
    return True


class _Work:
    """One attempt at one row that is ours."""

    def __init__(
        self, rows: models.QuerySet[Any], event: AbstractWebhookEvent, connection: AbstractConnection | None
    ) -> None:
        self.event, self.connection = event, connection
        self.using = rows.db
        # The fence: whoever takes the row over counts on.
        self.row = rows.filter(pk=event.pk, attempts=event.attempts)

    def do(self) -> str:
        try:
            dto = self._understand()
            event_type = str(dto.event_type)
        except ClaimLost:
            logger.warning("inbound webhook %s took too long; another worker has it", self.event.pk)
            return "lost"
        except IntegrationError as error:
            return self._fail(error)
        except Exception as error:  # a connector's or an action's own: its text may hold anything
            logger.error("inbound webhook %s: unexpected %s", self.event.pk, type(error).__name__)
            return self._fail(_unexpected(error))
        except BaseException as error:  # sys.exit() in an action, or our own end: the row must not wait for its lease
            with suppress(DatabaseFailure):
                self._fail(_unexpected(error))
            raise
        try:
            self._announce(dto, event_type)
        except type(self.event).DoesNotExist:
            logger.warning("inbound webhook %s was deleted while it was processed", self.event.pk)
            return "lost"
        except BaseException as error:  # not a receiver's exception, of which `announce_now` tells: the end of all this
            with suppress(DatabaseFailure):
                self._again(_unexpected(error))
            raise
        return "processed"

    def _understand(self) -> WebhookDTO:
        """Parse it and, unless that is done already, have its effect together with the mark."""
        event = self.event
        adapter = self.connection.get_receiver() if self.connection is not None else None
        dto = (adapter.parse_webhook if adapter else _parse)(event.headers, bytes(event.body))
        if event.status == event.Status.PROCESSED:
            return dto
        with transaction.atomic(using=self.using):
            if asks_for_action(self.connection, adapter, event.action):
                run_action(event.action, dto, self.connection)
            marked = self.row.update(
                status=event.Status.PROCESSED,
                processed_at=Now(),
                error="",
                event_type=cut(dto.event_type, 100),
                next_attempt_at=after(conf.INBOUND_LEASE_SECONDS),
            )
            if not marked:
                raise ClaimLost
        return dto

    def _announce(self, dto: WebhookDTO, event_type: str) -> None:
        event = self.event
        # What was just written; not the body and the payload, which may be large.
        event.refresh_from_db(fields=["status", "processed_at", "event_type", "error", "next_attempt_at"])
        # What receivers save is the integration's doing too: without this it would hear of it, and answer again. The
        # models of a host have no lanes here, and their keys are not ours.
        cause = self.connection.pk if isinstance(self.connection, TenantIntegration) else None
        with caused_by(cause):
            failed = announce_now(
                webhook_event_processed,
                type(event),
                webhook_event=event,
                webhook_dto=dto,
                event_type=event_type,
                **described(self.connection, event),
            )
        if not failed:
            self.row.update(announced_at=Now(), next_attempt_at=None, error="", unfinished=0)
            return
        self._again(IntegrationTemporaryError(f"processed, but these receivers raised: {', '.join(failed)}"))

    def _fail(self, error: IntegrationError) -> str:
        self._again(error)
        return "failed"

    def _again(self, error: IntegrationError) -> None:
        """Write down why, and when to try again; or that nobody will."""
        event = self.event
        age = (clock.now() - event.received_at).total_seconds()
        delay = retry_policy.webhook().delay(event.attempts, error, age)
        # A handler's own kind of error may be made in any way.
        text = printable(str(getattr(error, "message", "") or type(error).__name__))
        if delay is None and event.attempts > 1:
            text = f"{text[: MAX_ERROR - 40]} (given up after {event.attempts} attempts)"
        is_done = event.status == event.Status.PROCESSED
        self.row.update(
            status=event.Status.PROCESSED if is_done else event.Status.FAILED,
            error=text[:MAX_ERROR],
            unfinished=0,
            next_attempt_at=None if delay is None else after(delay),
        )
        logger.warning("inbound webhook %s: %s", event.pk, text)


def _unexpected(error: BaseException) -> IntegrationTemporaryError:
    return IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")


def _parse(headers: dict[str, str], body: bytes) -> WebhookDTO:
    return parse(None, headers, body)
