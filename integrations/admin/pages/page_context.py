"""What a page of one object shows beside its form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

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
