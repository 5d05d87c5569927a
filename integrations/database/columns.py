"""A text column of which migrations know the column alone."""

from __future__ import annotations

from typing import Any

from django.db import models

_OF_CODE = ("choices", "default", "validators")


class PlainCharField(models.CharField):
    """A CharField whose choices, default and validators are code: no migration names it, so it may change its place."""

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, {k: v for k, v in kwargs.items() if k not in _OF_CODE}
