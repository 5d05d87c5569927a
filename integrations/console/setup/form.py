"""The forms of the console about an integration's settings; what a connector type asks for comes from its manifest."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.models import LIMITS, SIGNING, TenantIntegration
from integrations.connectors.manifest import Manifest
from integrations.forms.connector_form import SHOWN_TYPE
from integrations.forms.fields import names_of
from integrations.forms.inbound_actions import CallsBackForm
from integrations.forms.settings_form import SettingsForm
from integrations.tenancy.tenant import name_of, tenant_model


class ConsoleForm(SettingsForm):
    """Base of both: the connector type is fixed, and the page shows the fields in parts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop(SHOWN_TYPE, None)  # nobody chooses another type here

    def chosen_type(self) -> str | None:
        return self.instance.integration_type

    @property
    def manifest(self) -> Manifest:
        assert self.connector is not None  # noqa: S101 - views make no form for a type that is not installed
        return self.connector.manifest

    def part(self, *names: str) -> list[forms.BoundField]:
        """Return the fields of these names that the form has, in this order."""
        return [self[name] for name in names if name in self.fields]

    @property
    def field_errors(self) -> list[forms.BoundField]:
        """The fields with which something is wrong."""
        return [field for field in self if field.errors]

    @property
    def connection(self) -> list[forms.BoundField]:
        """What the connector type asks for."""
        return self.part(*names_of(self.manifest))

    @property
    def advanced(self) -> list[forms.BoundField]:
        """What most people never touch."""
        return self.part(*names_of(self.manifest, advanced=True), *SIGNING)

    @property
    def has_advanced_errors(self) -> bool:
        """True: the part that is closed at first must be open."""
        return any(field.errors for field in self.advanced)


class NewConnectionForm(ConsoleForm):
    """The first step of a set-up: a name, and what the connector type asks for. Nothing is sent before the last step.

    Args:
        tenants: those for which the person may set one up; a choice where there are several.
    """

    class Meta:
        model = TenantIntegration
        fields = ("name", "is_signed")
        help_texts = {
            "is_signed": gettext_lazy(
                "Sign every request (Standard Webhooks). The secret is shown once, after this step."
            ),
        }

    def __init__(self, *args: Any, tenants: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.is_active = False
        if len(tenants) == 1:
            self.instance.tenant = tenants[0]
        else:
            rows = tenant_model()._default_manager.filter(pk__in=[tenant.pk for tenant in tenants])
            choice: Any = forms.ModelChoiceField(rows, label=_("Tenant"), empty_label=_("Choose …"))
            choice.label_from_instance = name_of
            self.fields = {"tenant": choice, **self.fields}
            self.order_fields(["tenant", "name"])

    @property
    def own(self) -> list[forms.BoundField]:
        return self.part("tenant", "name")

    def clean(self) -> dict[str, Any]:
        tenant = self.cleaned_data.get("tenant")
        if tenant is not None:
            self.instance.tenant = tenant
        return super().clean()

    def _take_turns(self, cleaned: dict[str, Any]) -> None:
        """Nothing to do: it is not active yet, and of those there may be any number."""


class ChangeForm(ConsoleForm, CallsBackForm):
    """Everything that a person sets on an integration but its events."""

    class Meta:
        model = TenantIntegration
        fields = ("name", "is_active", *SIGNING, *LIMITS, "inbound_actions")
        help_texts = {
            "is_active": gettext_lazy("Off: no event is recorded for it, and what is pending is cancelled."),
            "is_signed": gettext_lazy("Sign every request (Standard Webhooks)."),
        }

    @property
    def own(self) -> list[forms.BoundField]:
        return self.part("name", "is_active")

    @property
    def calling_back(self) -> list[forms.BoundField]:
        """What it may do here; only where its type calls back."""
        return self.part("inbound_actions")

    @property
    def limits(self) -> list[forms.BoundField]:
        """How much it gets at once; only where something is sent."""
        return self.part(*LIMITS) if self.manifest.takes_events else []

    @property
    def has_limit_errors(self) -> bool:
        return any(field.errors for field in self.limits)
