"""What `replay` and `backfill` return: the result of a batch, and a preview."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Step:
    """What one batch did.

    Attributes:
        cursor: the key of the last row that is done with.
        done: rows that were replayed, or snapshots that were recorded.
        skipped: rows that were left alone.
        failed: rows for which it went wrong.
        messages: what people are told, each text once per job.
        is_over: there was nothing left.
        waits_for: why nothing was done: it is tried again in a moment.
    """

    cursor: Any
    done: int = 0
    skipped: int = 0
    failed: int = 0
    messages: list[str] = field(default_factory=list)
    is_over: bool = False
    waits_for: str = ""

    @property
    def rows(self) -> int:
        return self.done + self.skipped + self.failed


@dataclass(slots=True)
class Preview:
    """What a job would do.

    Attributes:
        count: rows that it would look at.
        left_alone: of them, those that are known to be left alone.
        is_complete: all were counted; else there are at least so many.
        sample: some of them.
        looked_at: of a backfill, how many of the first objects were tried, with what would become of them ...
        left_out: ... those that the condition leaves out,
        failing: and those of which no payload can be made.
        has_own_payload: the integration wants a payload of its own in the place of the event's body.
    """

    count: int = 0
    left_alone: int = 0
    is_complete: bool = True
    sample: list[Any] = field(default_factory=list)
    looked_at: int = 0
    left_out: int = 0
    failing: int = 0
    has_own_payload: bool = False

    @property
    def sent(self) -> int:
        """How many of those that were tried would be sent."""
        return self.looked_at - self.left_out - self.failing
