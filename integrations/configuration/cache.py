"""Configurations in this process's memory: one query for many calls, and no stale answer for long.

What is kept is the row as the database has it, credentials encrypted. It is forgotten

    at once                    when this process saves or deletes it
    at the next call           when another process does, if Django's cache is one that processes share: each change
                               puts a new random stamp there, and a row is as old as the stamp it was read under
    after CONFIG_CACHE_SECONDS in any case

Nothing but the stamp is ever in Django's cache. While that cannot be asked, the database is. In the transaction that
changes a row, the database is asked too: others must not see what may be rolled back. ``QuerySet.update()`` sends no
signal, so what it changes is seen after CONFIG_CACHE_SECONDS.
"""

from __future__ import annotations

import copy
import logging
import secrets
from time import monotonic
from typing import Any, NamedTuple, TypeVar, cast

from django.core.cache import cache
from django.db import connections, models, router, transaction

from integrations import conf

logger = logging.getLogger("integrations.configuration")

M = TypeVar("M", bound=models.Model)

_UNKNOWN = object()  # the stamp while Django's cache cannot be asked


class _Entry(NamedTuple):
    row: models.Model | None
    stamp: object
    until: float  # time.monotonic


_entries: dict[type[models.Model], _Entry] = {}
_silent_until = 0.0  # time.monotonic; a cache that is down is not asked at every call


def get(model: type[M]) -> M | None:
    """Return the row of `model` that comes first, None if it has none; a copy that the caller may change."""
    if _is_changed_here(model):
        return read(model)
    entry, stamp = _entries.get(model), _stamp(model)
    if entry is None or stamp is _UNKNOWN or entry.stamp != stamp or monotonic() >= entry.until:
        # The stamp is older than the row: whoever changes it meanwhile changes the stamp too, and we read once more.
        entry = _Entry(read(model), stamp, monotonic() + conf.CONFIG_CACHE_SECONDS)
        if stamp is not _UNKNOWN:
            _entries[model] = entry
    return None if entry.row is None else copy_of(cast(M, entry.row))  # kept under its own model


def forget(model: type[models.Model] | None = None) -> None:
    """Forget what this process keeps of `model`, of all models without one."""
    for kept in list(_entries):
        if model is None or _table(kept) == _table(model):
            _entries.pop(kept, None)


def forget_after_commit(sender: type[models.Model], using: str, **_: Any) -> None:
    """Forget now, and again when everybody else can see the change; tell other processes then."""
    forget(sender)
    transaction.on_commit(_Changed(sender), using=using, robust=True)


class _Changed:
    """What happens after the commit; until then, its place in the queue says that there is a change."""

    def __init__(self, model: type[models.Model]) -> None:
        self.table = _table(model)
        self.model = model

    def __call__(self) -> None:
        forget(self.model)
        try:
            cache.set(_key(self.model), secrets.token_hex(8), timeout=None)
        except Exception as error:  # whatever its client raises; it may hold an address with a password
            logger.warning(
                "other processes use the old %s for up to %g s: Django's cache cannot be written (%s)",
                self.model._meta.verbose_name,
                conf.CONFIG_CACHE_SECONDS,
                type(error).__name__,
            )


def _is_changed_here(model: type[models.Model]) -> bool:
    queue = connections[router.db_for_write(model)].run_on_commit
    return any(isinstance(call[1], _Changed) and call[1].table == _table(model) for call in queue)


def _stamp(model: type[models.Model]) -> object:
    global _silent_until
    if monotonic() < _silent_until:
        return _UNKNOWN
    try:
        return cache.get(_key(model))
    except Exception as error:
        _silent_until = monotonic() + conf.CONFIG_CACHE_SECONDS
        logger.warning("configurations are read from the database: Django's cache fails (%s)", type(error).__name__)
        return _UNKNOWN


def copy_of(row: M) -> M:
    """Return the same row again, as if it had just been read."""
    names = [field.attname for field in row._meta.concrete_fields if field.attname in row.__dict__]
    return type(row).from_db(row._state.db, names, copy.deepcopy([row.__dict__[name] for name in names]))


def read(model: type[M]) -> M | None:
    """Return the row of `model` that comes first, from the database."""
    return model._default_manager.order_by("pk").first()


def _table(model: type[models.Model]) -> str:
    return model._meta.db_table


def _key(model: type[models.Model]) -> str:
    return f"integrations:configuration:{_table(model)}"
