"""Which payloads a subscription wants: a JMESPath expression (no loops, no side effects, jmespath.org)."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import jmespath
from django.core.exceptions import ValidationError
from jmespath.exceptions import JMESPathError

logger = logging.getLogger("integrations.connections")


@lru_cache(maxsize=1024)
def _compiled(condition: str) -> Any:
    return jmespath.compile(condition)


def validate_condition(condition: str) -> None:
    """Raise ValidationError, saying where, when `condition` is not JMESPath."""
    try:
        _compiled(condition)
    except JMESPathError as error:
        raise ValidationError(f"Not a JMESPath expression: {error}") from None


def wants(condition: str, payload: dict[str, Any]) -> bool:
    """Tell whether `payload` satisfies `condition`; "" is satisfied by everything.

    A condition that fails on this payload lets it pass: one event too many is better than one lost.
    """
    if not condition:
        return True
    try:
        return bool(_compiled(condition).search(payload))
    except JMESPathError as error:
        logger.warning("condition %r failed, the event is sent: %s", condition, error)
        return True
