"""A model that takes no text of which nothing can be seen, or that acts on the screen of who reads it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from .harmless_text import problem_of


class CheckedTexts(models.Model):
    """Refuses, in ``full_clean()`` and so in every form, texts of which nothing can be seen or that act on a screen."""

    class Meta:
        abstract = True

    def clean_fields(self, exclude: Any = None) -> None:
        problems: dict[str, Any] = {}
        try:
            super().clean_fields(exclude=exclude)
        except ValidationError as error:
            problems = error.update_error_dict(problems)
        for field in self._meta.concrete_fields:
            is_text = isinstance(field, models.CharField | models.TextField) and field.editable and not field.choices
            if not is_text or field.name in problems or field.name in (exclude or ()):
                continue
            value = getattr(self, field.attname)
            if isinstance(value, str) and (wrong := problem_of(value, has_lines=isinstance(field, models.TextField))):
                problems[field.name] = [ValidationError(f"This {wrong}.", code="unseen")]
        if problems:
            raise ValidationError(problems)
