"""Buttons on an object's page: each a POST to an address of its own, with the permission to operate.

Reading a row and acting on it are two things: what happened stays read-only, even for those who may repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from .page_context import PageContext


class Button(NamedTuple):
    """One button: `act` is a method of the ModelAdmin that takes (request, queryset), as the actions of the list do."""

    name: str
    label: str
    act: str
    hint: str = ""
    is_main: bool = False


class ObjectButtons(PageContext):
    """Mixed into a ModelAdmin; works on any model, whatever its tenants are: rows come from ``get_queryset``.

    Attributes:
        buttons: all buttons; `buttons_of` says which of them an object has.
    """

    buttons: tuple[Button, ...] = ()
    change_form_template = "admin/integrations/buttons_change_form.html"

    def buttons_of(self, request: HttpRequest, obj: Any) -> tuple[Button, ...]:
        """Return the buttons for `obj`, asked for those who may operate."""
        return self.buttons

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may act on rows: the change permission of the model."""
        opts = self.opts
        return bool(request.user.has_perm(f"{opts.app_label}.change_{opts.model_name}"))

    def may_operate(self, request: HttpRequest, obj: Any) -> bool:
        """Tell whether the user may act on this row; asked for each, by a button and by an action of the list."""
        return self.has_operate_permission(request)

    def get_urls(self) -> list[URLPattern]:
        wrap: Callable[..., Any] = self.admin_site.admin_view
        own = [
            path(
                f"<path:object_id>/{button.name}/",
                wrap(partial(self._button_view, button)),
                name=self._url_name(button),
            )
            for button in self.buttons
        ]
        return own + super().get_urls()

    def _url_name(self, button: Button) -> str:
        opts = self.opts
        return f"{opts.app_label}_{opts.model_name}_{button.name.replace('-', '_')}"

    def _button_view(self, button: Button, request: HttpRequest, object_id: str) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        if not self.may_operate(request, obj):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        # Of the model itself: get_object may have found it among a page's joins and deferred columns.
        response = getattr(self, button.act)(request, self.get_queryset(request).filter(pk=obj.pk))
        if isinstance(response, HttpResponse):  # as an action of the list may
            return response
        opts = self.opts
        site = self.admin_site.name
        return HttpResponseRedirect(reverse(f"{site}:{opts.app_label}_{opts.model_name}_change", args=[quote(obj.pk)]))

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        context = super().page_context(request, obj)
        if not self.may_operate(request, obj):
            return context
        site = self.admin_site.name
        shown = [
            {
                "label": button.label,
                "hint": button.hint,
                "is_main": button.is_main,
                "url": reverse(f"{site}:{self._url_name(button)}", args=[quote(obj.pk)]),
            }
            for button in self.buttons_of(request, obj)
        ]
        return {**context, "object_buttons": shown}
