"""What an answer means, where HTTP's own table (transport/classify.py) is not enough.

Rules are asked in order; the first that fits decides. A condition is JMESPath over ``response``, without ``${…}``:
``response.json.error.code == 'insufficient_quota'``. One that fails on an answer does not fit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from integrations import clock
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.transport.response import Response
from integrations.transport.retry_after import LIMIT, parse_retry_after

from .expression import Expression
from .schema import ErrorRule
from .schema import When as WhenShape
from .scope import RESPONSE, Names, Scope
from .values import Compiler, Value

KINDS: dict[str, type[IntegrationError]] = {
    "auth": IntegrationAuthError,
    "rate_limited": IntegrationRateLimited,
    "temporary": IntegrationTemporaryError,
    "permanent": IntegrationPermanentError,
    "gone": IntegrationGone,
}
NAMES = Names({"response": RESPONSE})
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s?", re.ASCII)  # with "s": a Duration of protocol buffers' JSON


@dataclass(frozen=True, slots=True)
class When:
    """An answer with one of these statuses (all, if none is named), on which the condition holds."""

    statuses: tuple[str, ...]
    condition: Expression | None

    def covers(self, status: int) -> bool:
        return not self.statuses or not {str(status), f"{status // 100}xx"}.isdisjoint(self.statuses)

    def holds(self, scope: Scope) -> bool:
        return self.condition is None or self.condition.holds(scope)


@dataclass(frozen=True, slots=True)
class Rule:
    when: When
    kind: type[IntegrationError]
    message: str
    code: str
    retry_after: Value | None

    def error(self, response: Response, scope: Scope, host: str, excerpt: str) -> IntegrationError:
        """Return the error for an answer that fits."""
        return self.kind(
            f"{host}: {self.message}",
            code=self.code or None,
            status=response.status,
            retry_after=self._wait(response, scope) if self.kind in _WAITING else None,
            excerpt=excerpt,
        )

    def _wait(self, response: Response, scope: Scope) -> float | None:
        headers, now = response.headers, clock.now()
        asked = parse_retry_after(headers.get("retry-after"), now=now, date_header=headers.get("date"))
        if self.retry_after is None:
            return asked
        try:
            own = seconds(self.retry_after.render(scope))
        except IntegrationError:
            own = None
        return asked if own is None else own


_WAITING = (IntegrationRateLimited, IntegrationTemporaryError)


def seconds(value: Any) -> float | None:
    """Return the seconds in ``12``, ``"12.5"`` or ``"34s"``; None for anything else."""
    if isinstance(value, bool):
        return None
    match = _SECONDS.fullmatch(str(value)) if isinstance(value, str) else None
    number = float(match[1]) if match else value if isinstance(value, int | float) else None
    return min(float(number), LIMIT) if number is not None and number >= 0 else None


def compile_when(shape: WhenShape, compiler: Compiler, names: Names = NAMES) -> When:
    condition = None
    if shape.condition is not None:
        if "${" in shape.condition:
            raise compiler.error("a condition is an expression already; write it without '${' and '}'", shape.condition)
        condition = compiler.expression(shape.condition, names)
    return When(shape.status, condition)


def compile_rule(shape: ErrorRule, compiler: Compiler, raw: Any) -> Rule:
    if "${" in shape.message:
        raise compiler.error("a message is fixed text, so that no answer can speak in our name", raw)
    return Rule(
        when=compile_when(shape.when, compiler),
        kind=KINDS[shape.kind],
        message=shape.message,
        code=shape.code,
        retry_after=None if shape.retry_after is None else compiler.text(shape.retry_after, NAMES),
    )
