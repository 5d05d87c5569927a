"""Call a method of an adapter by name, as a message asks for it: only methods that its port exports."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from integrations.connections import health
from integrations.connectors.exported import exported_methods
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import run_slot
from integrations.errors import IntegrationError, IntegrationPermanentError, IntegrationTemporaryError, forgets_locals
from integrations.outbox.canonical_json import sanitise
from integrations.pull.by_name import connection_named
from integrations.pull.run import may_pull

logger = logging.getLogger("integrations.services")


@forgets_locals
def call_adapter_method(
    connection_id: Any,
    method_name: str,
    app_label: str,
    model_name: str,
    arguments: Sequence[Any] = (),
    named_arguments: Mapping[str, Any] | None = None,
) -> Any:
    """Call an exported method of the connection's adapter; None if the connection is gone or not operational.

    Returns:
        What the method returns, as JSON has it: dataclasses as objects, decimals and times as text.

    Raises:
        IntegrationPermanentError: the model is none of connections, the method is not exported, or it does not take
            these arguments.
        IntegrationError: the call failed; refused credentials are counted.
    """
    connection = connection_named(connection_id, app_label, model_name)
    if connection is None:
        return None
    if not may_pull(connection):
        logger.info("connection %s is not operational; nothing is called", connection.pk, extra=connection.log_ids())
        return None
    kind = ConnectorRegistry.type_of(connection.connector_key)
    if not isinstance(method_name, str) or method_name not in exported_methods(kind):
        raise IntegrationPermanentError(
            f"method not exported: {kind.manifest.key} has no exported method {str(method_name)[:60]!r}",
            code="not_exported",
        )
    try:
        with connection.get_adapter() as adapter:
            method, named = getattr(adapter, method_name), named_arguments or {}
            _refuse_misfits(method, arguments, named)
            with run_slot.away():
                answer = method(*arguments, **named)
        health.record_success(connection)
        return sanitise(_plain(answer))
    except IntegrationError as error:
        health.count_refusal(connection, error)
        raise
    except Exception as error:
        # Its text and its locals may hold what the provider said.
        kind_of_error = type(error).__name__
    raise IntegrationTemporaryError(f"{method_name} failed: unexpected {kind_of_error}", code="unexpected")


def _refuse_misfits(method: Callable[..., Any], arguments: Any, named: Any) -> None:
    """Refuse what `method` cannot be called with: the same message will never be right.

    Raises:
        IntegrationPermanentError: naming the argument of the task and the fix; never a value.
    """
    problem = ""
    if not isinstance(arguments, list | tuple):  # a text's letters and an object's names are no arguments
        problem = "method_args: must be a list"
    elif not (isinstance(named, Mapping) and all(isinstance(name, str) for name in named)):
        problem = "method_kwargs: must be an object of names and values"
    else:
        signature = inspect.signature(method)
        try:
            signature.bind(*arguments, **named)
        except TypeError:
            takes = ", ".join(signature.parameters) or "nothing"
            problem = f"method_args, method_kwargs: {method.__name__} takes other arguments: {takes}"
    if problem:
        raise IntegrationPermanentError(problem, code="bad_arguments")


def _plain(value: Any) -> Any:
    """Return `value` with its dataclasses as dicts, at any depth."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value
