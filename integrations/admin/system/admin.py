"""System-wide integrations: one page each, for superusers alone.

The form has a switch, and the fields of the connector of its name. Nothing secret goes out; it may be saved incomplete
while it is switched off. A host's own: ``admin.site.register(SentryConfiguration, SystemAdmin)`` (docs/config.md).
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from integrations.admin.pages.page_context import SecretPages
from integrations.admin.tenancy.scoped_admin import NothingToTell
from integrations.admin.widgets.assets import Assets
from integrations.configuration.models import (
    GeminiConfiguration,
    GitHubConfiguration,
    GraphConfiguration,
    IntegrationConfiguration,
    OpenAIConfiguration,
    WeaviateConfiguration,
)
from integrations.connections.destinations import destinations
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check, doubts
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.masking import MASK
from integrations.errors import EncryptionError
from integrations.forms.choice import about
from integrations.forms.fields import fields_for, form_name, names_of, settings_from
from integrations.forms.settings_form import ELSEWHERE, sentence
from integrations.system.connected import ConnectedIntegration
from integrations.system.github import GitHubIntegration

UNREADABLE = "The stored credentials cannot be opened with our keys. Put the old key back, or enter everything again."


class SystemForm(forms.ModelForm):
    """The form of one configuration.

    Attributes:
        stored: the stored settings, flat and decrypted; {} if they do not open with our keys (`is_unreadable`).
        settings: after `is_valid`: the flat settings to store.
    """

    instance: IntegrationConfiguration

    class Meta:
        model = IntegrationConfiguration
        fields = ("enabled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connector: type[BaseConnector] = ConnectorRegistry.type_of(self.instance.name)
        self.is_unreadable = False
        try:
            self.stored = self.instance.settings
        except EncryptionError:
            self.stored, self.is_unreadable = {}, True
        self.settings: dict[str, Any] = {}
        drawn = fields_for(self.connector.manifest, self.stored)
        names = [form_name(name) for name in self.instance.used_settings()]
        self.connector_fields = {name: drawn[name] for name in names if name in drawn}
        for field in self.connector_fields.values():
            field.required = False  # what is needed depends on the switch
        self.fields.update(self.connector_fields)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        manifest, used = self.connector.manifest, self.instance.used_settings()
        typed = {name: value for name, value in self.stored.items() if name not in used}
        typed |= settings_from(manifest, cleaned, self.stored)
        found, problems = check(manifest, typed, self.stored)
        problems = problems or doubts(manifest, found, self.stored)
        self.settings = {name: found[name] for name in typed if name in found}
        for name, problem in problems.items():
            is_empty = typed.get(name) in (None, "", [])
            if not is_empty or (cleaned.get("enabled") and name in self.instance.needed_settings()):
                self._complain(name, sentence(problem))
        if not destinations(self.connector, self.settings) <= destinations(self.connector, self.stored):
            # A stored secret goes to the server that it was entered for, and to no other.
            for name in manifest.secret_names:
                if self.stored.get(name) and MASK in str(self.data.get(self.add_prefix(form_name(name))) or ""):
                    self._complain(name, str(ELSEWHERE))
        if self._is_changed and self.is_unreadable and not any(self.settings.get(n) for n in manifest.secret_names):
            self.add_error(None, UNREADABLE)  # else what the old key could still open would be lost
        return cleaned

    @property
    def _is_changed(self) -> bool:
        return not self.connector_fields.keys().isdisjoint(self.changed_data)

    def _complain(self, name: str, problem: str) -> None:
        place = form_name(name)
        if place not in self.errors:
            self.add_error(place if place in self.fields else None, problem)

    def save(self, commit: bool = True) -> Any:
        if self._is_changed or self.instance.pk is None:
            self.instance.apply_settings(self.settings)
        return super().save(commit)


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
