"""The demo's simulated lane: an object's rows go out in the order in which they were recorded."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.demo.data.lane import Answer, Owed, send
from integrations import conf, retry_policy
from integrations.errors import IntegrationPermanentError, IntegrationRateLimited

HOUR = 3600.0
TAKEN: Answer = (200, "", None, 80, None)


def settled(rows: list[Owed], ask: Callable[[float, Owed], Answer], *, luck: int) -> list[int]:
    """Send `rows` for a day and return the events that were taken, in that order."""
    policy = replace(retry_policy.webhook(repeats_answers=True), chance=lambda: 0.5)
    send(rows, ask, now=24 * HOUR, policy=policy, chance=random.Random(luck))
    taken = [(row.settled, row.event) for row in rows if row.settled is not None]
    return [event for _, event in sorted(taken)]


@pytest.mark.parametrize("luck", range(5))
def test_after_a_rest_none_overtakes(luck: int) -> None:
    """One row is asked to slow down; what came meanwhile, and right after the rest, goes out in order."""
    slower = IntegrationRateLimited("slower", status=429, retry_after=20)
    rows = [Owed(0.0, "other", 0)] + [Owed(float(number), "object", number) for number in range(1, 40)]
    asked = iter([(429, "", slower, 5, None)])
    order = settled(rows, lambda at, row: next(asked, TAKEN), luck=luck)
    assert [event for event in order if event] == list(range(1, 40))


def test_behind_a_row_that_fails_for_long_the_others_keep_their_order() -> None:
    """The first is refused for good; those that waited behind it for its hour go before the one that comes then."""
    wrong = IntegrationPermanentError("no", status=422)
    late = conf.HOLD_SECONDS + 60  # its own next attempt is later
    rows = [Owed(made, "object", number) for number, made in enumerate((0.0, 1.0, 2.0, 3.0, late, late + 0.01))]
    refused: Answer = (422, "", wrong, 5, None)
    assert settled(rows, lambda at, row: TAKEN if row.event else refused, luck=1) == [1, 2, 3, 4, 5]
