"""Hooks that write a host's own execution log.

on_response, on_error = make_execution_log_callback(ExecutionLog, connection)
adapter.client.http.middleware.add_on_response(on_response)
adapter.client.http.middleware.add_on_error(on_error)
"""

from __future__ import annotations

from integrations.audit.calls import log_hooks
from integrations.audit.models import AbstractExecutionLog, key_to
from integrations.connections.abstract import AbstractConnection
from integrations.transport.http.middleware import OnError, OnResponse

__all__ = ["make_execution_log_callback"]


def make_execution_log_callback(
    model: type[AbstractExecutionLog], connection: AbstractConnection
) -> tuple[OnResponse, OnError]:
    """Return (on_response, on_error) that write a row of `model` for every attempt through `connection`.

    What is stored is masked first and cut then. A row that cannot be written is logged, and breaks no call.

    Args:
        model: a subclass of AbstractExecutionLog with a foreign key to the connection's model.

    Raises:
        TypeError: it is none, or has no such key.
    """
    if not (isinstance(model, type) and issubclass(model, AbstractExecutionLog) and not model._meta.abstract):
        raise TypeError(f"{model!r} is not a model derived from AbstractExecutionLog")
    key = key_to(connection, model)
    if key is None:
        raise TypeError(f"{model._meta.label} has no foreign key to {type(connection)._meta.label}")
    return log_hooks(model, {key: connection})
