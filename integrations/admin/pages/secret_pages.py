"""Pages that take or hold secrets say nothing of them when they fail."""

from __future__ import annotations

from django.urls import URLPattern

from integrations.credentials.error_reports import hides_secrets

from .page_context import AdminMixin


class SecretPages(AdminMixin):
    """Mixed into a ModelAdmin: no report of an error on one of its pages, its buttons included, holds what was sent."""

    @property
    def urls(self) -> list[URLPattern]:
        patterns = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):  # a host may include more
                pattern.callback = hides_secrets(pattern.callback)
        return patterns
