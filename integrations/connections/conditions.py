"""Which payloads a subscription wants: a JMESPath expression (jmespath.org) that can only look.

It runs in the transaction of somebody's save, so it must be cheap whatever a tenant writes. JMESPath has no loops,
but it can build: forty times ``[@, @]`` is a value of 2^40 parts. So expressions that build values are refused,
when they are typed and again when they are used, since a row may have come another way.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import jmespath
from django.core.exceptions import ValidationError

logger = logging.getLogger("integrations.connections")

MAX_NODES = 64
FUNCTIONS = frozenset({"abs", "contains", "ends_with", "length", "not_null", "starts_with", "to_number", "type"})
NODES = frozenset(
    {
        "and_expression",
        "comparator",
        "current",
        "field",
        "filter_projection",
        "function_expression",
        "identity",
        "index",
        "index_expression",
        "literal",
        "not_expression",
        "or_expression",
        "pipe",
        "projection",
        "subexpression",
        "value_projection",
    }
)


@lru_cache(maxsize=1024)
def _compiled(condition: str) -> Any:
    """Return the compiled expression; raises ValueError for one that is not JMESPath or could grow."""
    try:
        expression = jmespath.compile(condition)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    waiting, count = [expression.parsed], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > MAX_NODES:
            raise ValueError(f"it has more than {MAX_NODES} parts")
        if node["type"] not in NODES:
            raise ValueError(f"{node['type'].replace('_', ' ')} is not allowed here; compare fields instead")
        if node["type"] == "function_expression" and node["value"] not in FUNCTIONS:
            raise ValueError(f"{node['value']}() is not allowed here; there are: {', '.join(sorted(FUNCTIONS))}")
        waiting += node["children"]
    return expression


def validate_condition(condition: str) -> None:
    """Raise ValidationError, saying what is wrong, when `condition` is not JMESPath or builds values."""
    if not condition:
        return
    try:
        _compiled(condition)
    except ValueError as error:  # JMESPathError is one
        raise ValidationError(f"Not a usable JMESPath expression: {error}") from None


def wants(condition: str, payload: dict[str, Any]) -> bool:
    """Tell whether `payload` satisfies `condition`; "" is satisfied by everything.

    A condition that fails on this payload lets it pass: one event too many is better than one lost, and the
    user's save has nothing to do with it.
    """
    if not condition:
        return True
    try:
        return bool(_compiled(condition).search(payload))
    except Exception as error:
        logger.warning("a condition failed (%s), the event is sent", type(error).__name__)
        return True
