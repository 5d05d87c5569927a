"""What an answer means, where HTTP's own table (transport/classify.py) is not enough.

Rules are asked in order; the first that fits decides. A condition is JMESPath over ``response``, without ``${…}``:
``response.json.error.code == 'insufficient_quota'``. One that fails on an answer does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from integrations.connectors.functions import text_of
from integrations.errors import IntegrationError, printable
from integrations.faults import Fault
from integrations.transport.classify import retry_after_of
from integrations.transport.redaction import redact
from integrations.transport.response import Response
from integrations.transport.retry_after import LIMIT

from .expression import Expression
from .schema import ErrorRule
from .schema import When as WhenShape
from .scope import RESPONSE, Names, Scope
from .source import Text
from .values import Compiler, Value

MAX_REASON = 200  # characters of what an answer says of itself
NAMES = Names({"response": RESPONSE})
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s?", re.ASCII)  # with "s": a Duration of protocol buffers' JSON


@dataclass(frozen=True, slots=True)
class When:
    """An answer with one of these statuses (all, if none is named), on which the condition holds."""

    statuses: tuple[str, ...]
    condition: Expression | None

    def __str__(self) -> str:
        condition = " ".join(self.condition.text.split()) if self.condition is not None else ""
        return " ".join(filter(None, (" or ".join(self.statuses), condition)))

    def covers(self, status: int) -> bool:
        return not self.statuses or not {str(status), f"{status // 100}xx"}.isdisjoint(self.statuses)

    def holds(self, scope: Scope) -> bool:
        return self.condition is None or self.condition.holds(scope)


@dataclass(frozen=True, slots=True)
class Rule:
    when: When
    fault: Fault
    retry_after: Value | None
    reason: Value | None

    def error(
        self, response: Response, scope: Scope, host: str, excerpt: str, secrets: Iterable[str] = ()
    ) -> IntegrationError:
        """Return the error for an answer that fits."""
        said = reason_in(self.reason, scope, secrets)
        return self.fault.error(
            host,
            retry_after=self._wait(response, scope),
            code=self.fault.code or None,
            status=response.status,
            excerpt=excerpt,
            said=said,
        )

    def _wait(self, response: Response, scope: Scope) -> float | None:
        asked = retry_after_of(response)
        if self.retry_after is None:
            return asked
        try:
            own = seconds(self.retry_after.render(scope))
        except IntegrationError:
            own = None
        return asked if own is None else own


def reason_in(reason: Value | None, scope: Scope, secrets: Iterable[str]) -> str:
    """Return what an answer says of itself, on one line, redacted; "" if it says nothing."""
    try:
        text = "" if reason is None else text_of(reason.render(scope))
    except IntegrationError:
        return ""
    return redact(printable(" ".join(text.split())), tuple(secrets))[:MAX_REASON]


def seconds(value: Any) -> float | None:
    """Return the seconds in ``12``, ``"12.5"`` or ``"34s"``; None for anything else."""
    if isinstance(value, bool):
        return None
    match = _SECONDS.fullmatch(str(value)) if isinstance(value, str) else None
    number = float(match[1]) if match else value if isinstance(value, int | float) else None
    return min(float(number), LIMIT) if number is not None and number >= 0 else None


def compile_when(shape: WhenShape, compiler: Compiler, names: Names = NAMES) -> When:
    condition = None if shape.condition is None else compile_condition(shape.condition, compiler, names)
    return When(shape.status, condition)


def compile_condition(text: Text, compiler: Compiler, names: Names) -> Expression:
    if "${" in text:
        raise compiler.error("a condition is an expression already; write it without '${' and '}'", text)
    return compiler.expression(text, names)


def compile_rule(shape: ErrorRule, compiler: Compiler, raw: Any) -> Rule:
    if "${" in shape.message:
        raise compiler.error("a message is fixed text, so that no answer can speak in our name", raw)
    return Rule(
        when=compile_when(shape.when, compiler),
        fault=Fault(shape.code, "event" if shape.kind == "permanent" else shape.kind, shape.message),
        retry_after=None if shape.retry_after is None else compiler.text(shape.retry_after, NAMES),
        reason=None if shape.reason is None else compiler.text(shape.reason, NAMES),
    )
