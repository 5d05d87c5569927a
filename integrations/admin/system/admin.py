"""System-wide integrations: one page each, for superusers alone.

A host's own: ``admin.site.register(SentryConfiguration, SystemAdmin)`` (docs/config.md).
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from integrations.admin.pages.secret_pages import SecretPages
from integrations.admin.tenancy.scoped_admin import NothingToTell
from integrations.admin.widgets.assets import Assets
from integrations.configuration.models import (
    GeminiConfiguration,
    GitHubConfiguration,
    GraphConfiguration,
    OpenAIConfiguration,
    WeaviateConfiguration,
)
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.forms.choice import about
from integrations.forms.fields import form_name, names_of
from integrations.system.connected import ConnectedIntegration
from integrations.system.github import GitHubIntegration

from .form import UNREADABLE, SystemForm


class SystemAdmin(SecretPages, NothingToTell, admin.ModelAdmin):
    """The page of one configuration; its list is the page itself."""

    integration: type[ConnectedIntegration[Any]] = ConnectedIntegration
    form = SystemForm
    readonly_fields = ("updated_at", "rotated_at")
    change_form_template = "admin/integrations/system_change_form.html"
    Media = Assets

    # -- who may ------------------------------------------------------------------------------------

    def _is_operator(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._is_operator(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_operator(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_operator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._is_operator(request) and not self.model.objects.exists()

    # -- the page -----------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the page; there is one row, or none yet."""
        if not self._is_operator(request):
            raise PermissionDenied
        row = self.model.objects.first()
        return HttpResponseRedirect(self._url("add") if row is None else self._url("change", row.pk))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        # The connector's fields are no columns; the form adds them itself.
        return super().get_form(request, obj, change, **{**kwargs, "fields": ("enabled",)})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        manifest = self._manifest
        used = {form_name(name) for name in (obj or self.model()).used_settings()}
        parts: list[tuple[str, bool, dict[str, Any]]] = [
            ("Connection", False, {"description": about(manifest)}),
            ("Advanced", True, {"classes": ("collapse",)}),
        ]
        fieldsets: list[Any] = [(None, {"fields": ("enabled", *(self.readonly_fields if obj else ()))})]
        for title, advanced, options in parts:
            if names := tuple(name for name in names_of(manifest, advanced=advanced) if name in used):
                fieldsets.append((title, {"fields": names, **options}))
        return fieldsets

    @property
    def _manifest(self) -> Manifest:
        return ConnectorRegistry.type_of(self.model.of).manifest

    def _url(self, view: str, *args: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}", args=args)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        obj = context.get("original")
        if obj is not None:
            context["check_url"] = self._url("check", obj.pk)
            if context["adminform"].form.is_unreadable and request.method == "GET":
                messages.error(request, UNREADABLE)
        return super().render_change_form(request, context, *args, **kwargs)

    # -- the button -----------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_check"
        return [path("<int:pk>/check/", self.admin_site.admin_view(self.check_view), name=name), *super().get_urls()]

    def check_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Prove the saved credentials, switched on or not; the page that follows has the answer."""
        if not self._is_operator(request):
            raise PermissionDenied
        row = self.model.objects.filter(pk=pk).first()
        if row is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        service = self.integration()
        service.name = row.name
        result = service.health_check(row)
        self.log_change(
            request, row, f"Checked the connection: {'it works' if result.success else 'it does not work'}."
        )
        if result.success:
            messages.success(request, f"✓ The connection works. {result.message}")
        else:
            messages.error(request, f"✗ The connection does not work: {result.message}")
        return HttpResponseRedirect(self._url("change", row.pk))


@admin.register(GitHubConfiguration)
class GitHubAdmin(SystemAdmin):
    integration = GitHubIntegration


admin.site.register([WeaviateConfiguration, GraphConfiguration, OpenAIConfiguration, GeminiConfiguration], SystemAdmin)
