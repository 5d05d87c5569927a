"""The versions of an event type's payload: the newest is made by its trigger handler, an older one of the next newer.

    class InvoiceHandler(TriggerHandler):
        payload_version = 2
        older_payloads = {1: with_plain_amount}  # takes a body of version 2, returns one of version 1

So a handler makes one payload, and each older version is one function beside it. A subscription keeps the version that
was the newest when it was made, until somebody moves it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Model

from .payload_shapes import MODEL_FIELDS, DecimalText, Shape

MOST = 32_000  # the column's limit
Older = Callable[[dict[str, Any]], Mapping[str, Any]]  # a body → as the version before has it
_FRAME = ("event_type", "timestamp", "tenant")
_PLAIN = (str, int, float, bool, type(None))
_LISTS = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one event type's payload.

    Attributes:
        newest: what is made.
        older: version → how it is made of the next newer one.
        shape: how to learn what an older version may hold; None: from samples.
    """

    newest: int = 1
    older: Mapping[int, Older] = field(default_factory=dict)
    shape: Callable[[int], Shape] | None = None

    @property
    def known(self) -> list[int]:
        """The versions that can be sent, ascending."""
        return [*sorted(self.older), self.newest]

    def problem(self) -> str:
        """Say what is wrong with them, "" if nothing is."""
        return problem_of(self.newest, self.older)

    def is_newest(self, version: int | None) -> bool:
        """Tell whether a subscription with `version` gets the payload as the handler makes it."""
        return version is None or not self.older or self.nearest(version) == self.newest

    def nearest(self, wanted: int) -> int:
        """Return `wanted`, or the next newer version that is still made; the newest where there is none."""
        if self.newest == 1 or wanted == self.newest:
            return self.newest
        return next((version for version in self.known if version >= wanted), self.newest)

    def made(self, body: Mapping[str, Any], version: int | None, *, of: int | None = None) -> dict[str, Any]:
        """Return `body`, which is of version `of`, as `version` has it."""
        found = _copied(body)
        at = self.newest if of is None else min(of, self.newest)
        wanted = self.newest if version is None else self.nearest(version)
        frame = {name: found[name] for name in _FRAME if name in found}
        while at > wanted:
            at -= 1
            found = dict(self.older[at](found))
        return {**found, **frame} if frame else found


def problem_of(newest: Any, older: Any) -> str:
    """Say what is wrong with the description of versions, "" if nothing is."""
    if type(newest) is not int or not 1 <= newest <= MOST:
        return f"payload_version must be a whole number from 1 on, not {newest!r}"
    if not isinstance(older, Mapping) or not all(type(each) is int and callable(older[each]) for each in older):
        return "older_payloads must be {version: function}, such as {1: with_plain_amount}"
    if not older:
        return ""
    # Each is made of the next one, so there is none without all that are newer.
    wanted = list(range(min(older), newest))
    if min(older) < 1 or sorted(older) != wanted:
        if above := sorted(each for each in older if each >= newest):
            return f"older_payloads has version {above[0]}, which is not older than payload_version {newest}"
        if missing := sorted(set(wanted) - set(older)):
            return f"older_payloads has no version {missing[0]}: version {min(older)} is made of it"
        return f"older_payloads has version {min(older)}; the first is 1"
    return ""


def as_example(value: Any) -> Any:
    """Return what a payload holds as functions of `older_payloads` get it: in JSON's types.

    Decimals are texts that still say what they were, so that conditions may compare them.
    """
    if isinstance(value, Decimal):
        return DecimalText(value)
    if isinstance(value, Model):
        value = {name: getattr(value, name) for name in MODEL_FIELDS if hasattr(value, name)}
    if isinstance(value, Mapping):
        return {str(name): as_example(item) for name, item in value.items()}
    if isinstance(value, _LISTS):
        return [as_example(item) for item in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date | time):
        return value.isoformat().replace("+00:00", "Z")
    return value if type(value) in _PLAIN else str(value)


def _copied(value: Any) -> Any:
    """Return a copy that a function may change."""
    if isinstance(value, Mapping):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
