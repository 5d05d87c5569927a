"""Time as the database sees it, so that the clocks of web and worker hosts need not agree."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, Value
from django.db.models.functions import Now


def after(seconds: float) -> Any:
    """Return a query expression for `seconds` from now (the start of the statement)."""
    delta = Value(timedelta(seconds=seconds), output_field=DurationField())
    return ExpressionWrapper(Now() + delta, output_field=DateTimeField())
