"""Pulls that a message asks for: models, connection and resource by name, none of them trusted."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import FieldError, ValidationError

from integrations.connections.abstract import AbstractConnection
from integrations.connections.registered import model_of
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery.hints import SLOW_QUEUE, send_hint
from integrations.errors import IntegrationPermanentError

from .fetch import method_for
from .handlers import NOBODY, handler_for, is_heard
from .lease import claim, release
from .models import AbstractSyncState
from .run import DISABLED, UNKNOWN, Run, is_resting, may_pull, pull_pages

INCREMENTAL, FULL = "integrations.tasks.incremental_sync", "integrations.tasks.full_resync"

logger = logging.getLogger("integrations.pull")


@dataclass(frozen=True, slots=True)
class Request:
    """What the tasks' arguments name."""

    connection_id: Any
    resource_type: str
    app_label: str
    model_name: str
    sync_state_app: str
    sync_state_model: str


def connection_named(connection_id: Any, app_label: str, model_name: str) -> AbstractConnection | None:
    """Return the connection, None if there is none (any more).

    Raises:
        IntegrationPermanentError: the model is none of connections.
    """
    model = model_of(app_label, model_name, AbstractConnection)
    try:
        found = model._default_manager.filter(pk=connection_id).first()
    except (TypeError, ValueError, OverflowError, ValidationError):
        found = None
    if found is None:
        logger.warning("%s has no row with the given connection_id", model._meta.label)
    return found


def pull_by_name(request: Request, *, is_full_resync: bool = False, is_continued: bool = False) -> Run:
    """Pull what `request` names until the end; the state is made if it is missing.

    Args:
        is_full_resync: from the beginning; `is_continued`: which this message only carries on.

    Raises:
        IntegrationPermanentError: a model or a method is not one that messages may name.
    """
    connection = connection_named(request.connection_id, request.app_label, request.model_name)
    states = model_of(request.sync_state_app, request.sync_state_model, AbstractSyncState)
    if connection is None:
        return Run(outcome=UNKNOWN)
    if not may_pull(connection):
        return Run(outcome=DISABLED)
    method_for(ConnectorRegistry.type_of(connection.connector_key), request.resource_type)
    state = _state(states, connection, request.resource_type)  # in any case: the admin then says what it waits for
    if not is_heard(connection, request.resource_type):
        return Run(outcome=NOBODY)  # neither begun nor forgotten: a handler of tomorrow finds everything
    from_start = is_full_resync and not is_continued
    if is_resting(state):
        if from_start and (lease := claim(state, from_start=True)):
            release(lease)  # the wish is kept, the provider is left alone
        return Run(outcome="waits after a failure")
    handler = handler_for(connection, request.resource_type)
    while True:
        run = pull_pages(
            connection, state, request.resource_type, handler, is_full_resync=is_full_resync, from_start=from_start
        )
        from_start = False
        if run.outcome != "continues":
            return run
        # Continued, or a full resync would begin anew for ever.
        kwargs = asdict(request) | ({"is_continued": True} if is_full_resync else {})
        if send_hint(FULL if is_full_resync else INCREMENTAL, kwargs, SLOW_QUEUE):
            return run
        # The broker is away, and nobody else would go on: this worker does.


def _state(states: type[AbstractSyncState], connection: AbstractConnection, resource_type: str) -> AbstractSyncState:
    rows: Any = states._default_manager  # the field `connection` is the host's
    try:
        state: AbstractSyncState = rows.get_or_create(connection=connection, resource_type=resource_type)[0]
    except (FieldError, TypeError, ValueError):
        raise IntegrationPermanentError(
            f"{states._meta.label} holds no states of {type(connection)._meta.label}"
        ) from None
    return state
