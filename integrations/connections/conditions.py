"""Which payloads a subscription wants: a JMESPath expression (jmespath.org) that can only look.

It runs in the transaction of somebody's save, so it must be cheap whatever a tenant writes. JMESPath has no loops,
but it can build: forty times ``[@, @]`` is a value of 2^40 parts. So expressions that build values are refused,
when they are typed and again when they are used, since a row may have come another way.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError

from integrations.expressions import compile_expression

logger = logging.getLogger("integrations.connections")

_compiled = lru_cache(maxsize=1024)(compile_expression)


def validate_condition(condition: str) -> None:
    """Raise ValidationError, saying what is wrong, when `condition` is not JMESPath or builds values."""
    if not condition:
        return
    try:
        _compiled(condition)
    except ValueError as error:
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
