"""Whose fault an answer is: one table for each kind of system. Its code decides by it, and its page prints it.

In: a provider's code. Out: the error that it stands for, with its fault (errors.py) and what a person can do. What no
table names is decided by transport/classify.py: 401 and 403 are the credentials', other refusals the event's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .errors import (
    DESTINATION,
    EVENT,
    QUOTA,
    SETUP,
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)

Kind = Literal["event", "setup", "auth", "quota", "rate_limited", "temporary", "gone"]
HOUR, DAY = 3600.0, 86400.0


class Meaning(NamedTuple):
    """The error of a kind, whose fault it is, and what a lane does then, for people."""

    error: type[IntegrationError]
    fault: str
    words: str


MEANINGS: Mapping[str, Meaning] = {
    "event": Meaning(IntegrationPermanentError, EVENT, "this event's: its row ends"),
    "setup": Meaning(
        IntegrationPermanentError,
        SETUP,
        "the account's or the settings': rows wait, three in a row stop the integration",
    ),
    "auth": Meaning(IntegrationAuthError, SETUP, "the credentials': rows wait, three in a row stop the integration"),
    "quota": Meaning(
        IntegrationPermanentError, QUOTA, "the account's allowance: everything rests for an hour or a day"
    ),
    "rate_limited": Meaning(IntegrationRateLimited, DESTINATION, "we were too fast: everything rests as long as asked"),
    "temporary": Meaning(IntegrationTemporaryError, DESTINATION, "the provider's, for now: tried again"),
    "gone": Meaning(IntegrationGone, EVENT, "nobody takes anything there any more: the integration stops at once"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What one code of a provider means.

    Attributes:
        code: as the provider writes it.
        advice: what is wrong and what to do, for people.
        wait: seconds to rest where the answer itself names none; None: the kind's.
    """

    code: str
    kind: Kind
    advice: str = ""
    wait: float | None = None

    def error(self, message: str, *, retry_after: float | None = None, said: str = "", **more: Any) -> IntegrationError:
        """Return the error that it stands for.

        Args:
            said: the provider's own reason, redacted. more: as IntegrationError takes it.
        """
        kind, fault, _ = MEANINGS[self.kind]
        waits = self.kind in ("quota", "rate_limited", "temporary")
        wait = (self.wait if retry_after is None else retry_after) if waits else None
        words = f"{message}: {self.advice}" if self.advice else message
        words = f"{words} (it says: {said})" if said else words
        return kind(words, **{"code": self.code, "retry_after": wait, "fault": fault, **more})


def table(
    kinds: Mapping[Kind, str], advice: Mapping[str, str], wait: Mapping[str, float] | None = None
) -> dict[str, Fault]:
    """Return {code: Fault} of codes listed by kind, separated by blanks."""
    return {
        code: Fault(code, kind, advice.get(code, ""), (wait or {}).get(code))
        for kind, codes in kinds.items()
        for code in codes.split()
    }


def grouped(faults: Iterable[Fault]) -> list[tuple[list[str], Fault]]:
    """Return the rows of a page: codes that mean the same and have the same advice together."""
    rows: dict[tuple[str, str], tuple[list[str], Fault]] = {}
    for fault in faults:
        rows.setdefault((fault.kind, fault.advice), ([], fault))[0].append(fault.code)
    order = list(MEANINGS)
    return sorted(rows.values(), key=lambda row: order.index(row[1].kind))
