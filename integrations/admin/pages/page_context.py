"""What a page of one object shows beside its form, and what it does not tell when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from integrations.credentials.error_reports import hides_secrets

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    AdminMixin = ModelAdmin  # what a mixin is mixed into
else:
    AdminMixin = object


class PageContext(AdminMixin):
    """Mixed into a ModelAdmin; each class of it adds to what the template of a page gets."""

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return names and values for the page of `obj`, those of the other classes among them."""
        return {}

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context.update(self.page_context(request, obj))
        return super().render_change_form(request, context, add, change, form_url, obj)


class SecretPages(AdminMixin):
    """Mixed into a ModelAdmin: no report of an error on one of its pages, its buttons included, holds what was sent."""

    @property
    def urls(self) -> list[URLPattern]:
        patterns = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):  # a host may include more
                pattern.callback = hides_secrets(pattern.callback)
        return patterns
