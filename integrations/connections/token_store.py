"""Keep a connection's tokens in one row, which at most one process renews at a time.

The lock is a lease in the row, like a lane's: one conditional UPDATE with the database's clock. A row lock would keep a
transaction open while the provider is asked, and on SQLite that blocks every writer. With a lease only those wait who
need this token: not settling, the admin or other integrations.

A write is committed before its token is used, and only if the row is still the revision that was read: somebody who
connected again meanwhile, or took over after a crash, wins.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, models, router, transaction
from django.db.models import Q
from django.db.models.functions import Now

from integrations.auth.token import Token
from integrations.database import clock
from integrations.database.times import after
from integrations.errors import IntegrationTemporaryError

from .grants import AbstractGrant
from .row import ConnectionRow

LOCK_SECONDS = 30.0  # outlasts a token request (10 s); after a crash the next one waits this long
WAIT_SECONDS = 12.0  # for another's token request
_LONGEST_NAP = 0.2


class GrantTokens:
    """The `TokenStore` of one saved connection; its methods may be called from any thread.

    Not from inside a transaction (RuntimeError): what it wrote could be rolled back after the provider has acted.
    """

    def __init__(self, connection: ConnectionRow) -> None:
        self._owner = connection
        self._grants: Any = connection.oauth_grant_model()
        self._using = router.db_for_write(self._grants)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._owner.pk})"

    def load(self) -> Token | None:
        with self._connection():
            grant = self.grant()
            return grant.token if grant else None

    @contextmanager
    def exclusive(self) -> Iterator[_Locked]:
        fence = secrets.token_hex(16)
        with self._connection():
            self._take(fence)
            try:
                yield _Locked(self, fence)
            finally:
                self._rows(lock_token=fence).update(lock_token="", locked_until=None)

    def write(self, change: Callable[[AbstractGrant], None], seen: int | None = None) -> bool:
        """Change the row and commit; return False if it is no longer the revision `seen` (None: whichever it is)."""
        with self._connection(), transaction.atomic(using=self._using, durable=True):
            self._grants.make_for(self._owner, self._using)
            grant = self._rows().select_for_update().get()
            if seen not in (None, grant.revision):
                return False
            grant.belongs_to(self._owner)
            change(grant)
            grant.revision += 1
            # Not the lock's columns: who holds it is not ours to say.
            names = [field.name for field in self._grants._meta.concrete_fields if not field.primary_key]
            grant.save(using=self._using, update_fields=[name for name in names if not name.startswith("lock")])
            return True

    def _rows(self, **more: str) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = self._grants.objects.using(self._using)
        return rows.filter(pk=self._grants.key_of(self._owner), **more)

    def grant(self) -> AbstractGrant | None:
        """Return the stored grant; None: nobody has asked for a token yet."""
        grant: AbstractGrant | None = self._rows().first()
        if grant is not None:
            grant.belongs_to(self._owner)
        return grant

    def _take(self, fence: str) -> None:
        free = Q(locked_until=None) | Q(locked_until__lte=Now())
        give_up_at, nap = time.monotonic() + WAIT_SECONDS, 0.01
        with transaction.atomic(using=self._using, durable=True):
            self._grants.make_for(self._owner, self._using)
        while not self._rows().filter(free).update(lock_token=fence, locked_until=after(LOCK_SECONDS)):
            if time.monotonic() > give_up_at:
                raise IntegrationTemporaryError(
                    "no access token: another process is still requesting one",
                    code="token_busy",
                    was_sent=False,
                )
            time.sleep(nap)
            nap = min(nap * 2, _LONGEST_NAP)

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """Close the database connection if it was opened here: a thread of a lane's pool ends without closing it."""
        connection = connections[self._using]
        was_open = connection.connection is not None
        try:
            yield
        finally:
            if not was_open:
                connection.close()


class _Locked:
    """The store while its lock is ours."""

    def __init__(self, store: GrantTokens, fence: str) -> None:
        self._store = store
        self._fence = fence
        self._seen = 0

    def load(self) -> Token | None:
        grant = self._store.grant()
        if grant is None:
            return None
        self._seen = grant.revision
        return grant.token

    def save(self, token: Token) -> None:
        if not self._store.write(lambda grant: grant.refreshed(token), self._seen):
            raise IntegrationTemporaryError("the grant was changed while a token was requested", code="grant_changed")

    def refuse(self, reason: str) -> None:
        def change(grant: AbstractGrant) -> None:
            grant.invalid_since = grant.invalid_since or clock.now()
            grant.invalid_reason = reason[:500]

        self._store.write(change, self._seen)
