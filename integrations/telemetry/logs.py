"""Loggers, and what lines of the log say beside their words: whose connection, which event, which attempt.

    <LOGGER_PREFIX>.<name>   the logger of one connector or integration (the prefix is a setting)

The same names everywhere, as ``extra=`` (``LOG_FORMAT=json`` writes them): tenant_id, integration_id (connection_id of
a host's own connection), connector; and while an event is sent event_type, event_id (the ``webhook-id``), sync_id,
attempt; while an inbound webhook is processed webhook_event_id; while something is pulled resource_type and
sync_state_id.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from integrations import conf
from integrations.tenancy.harmless_text import harmless

Ids = Mapping[str, Any]

# What this thread is at: what it sends, processes or pulls; {} while it is at nothing.
sending: ContextVar[Ids] = ContextVar("sending", default={})  # noqa: B039 - nobody changes it


class IdLogger(logging.LoggerAdapter[logging.Logger]):
    """Says with each line whose it is, and what is being sent."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **sending.get(), **(kwargs.get("extra") or {})}
        return msg, kwargs


@contextmanager
def about(ids: Ids) -> Iterator[None]:
    """Let every line that an `IdLogger` writes meanwhile say `ids`, beside those that are said already."""
    token = sending.set({**sending.get(), **ids})
    try:
        yield
    finally:
        sending.reset(token)


AnyLogger = logging.Logger | IdLogger


def logger_for(name: str, ids: Ids | None = None) -> AnyLogger:
    """Return the logger of a connector, one that says `ids` with each line if there are any."""
    logger = logging.getLogger(f"{conf.LOGGER_PREFIX}.{name}")
    return IdLogger(logger, ids) if ids else logger


def one_line(text: str) -> str:
    """Return what a person typed as it may stand in a line of the log: what acts on a terminal is spelled out."""
    if text.isprintable():
        return text
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")
