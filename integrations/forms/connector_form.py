"""The half of the form that the chosen connector decides: its fields, and what becomes of them when another is chosen.

A page shows the fields of one kind. If another kind was chosen on it (without JavaScript, nothing swaps them), the
answer is the page with that kind's fields: nothing that was typed is lost, and nothing is saved.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.utils import ErrorDict
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.connections.settings import settings_to_edit
from integrations.connectors.manifest import RateLimit

from .choice import connector_of, grouped_choices
from .fields import fields_for
from .secret_fields import SecretField

AGAIN = gettext_lazy("Please type this again: it is never sent back to the browser.")
OTHER_KIND = gettext_lazy("These are the fields of {label}. Nothing was saved yet: fill them in, and save again.")
TYPE, SHOWN_TYPE = "integration_type", "shown_type"


class ShownTypeField(forms.CharField):
    """The connector whose fields the page has: what it was when the page was made, whatever is posted."""

    widget = forms.HiddenInput

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class ConnectorForm(forms.ModelForm):
    """Base of the form of a tenant integration.

    Attributes:
        connector: the chosen kind; None: not chosen yet, or not installed (any more).
        stored: the stored settings, flat and decrypted.
        connector_fields: those of the form's fields that the connector's manifest asks for.
    """

    instance: TenantIntegration
    user: Any = None  # who fills it in; whoever makes the form sets it
    shown_type = ShownTypeField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance.pk is None
        self.connector = connector_of(self.chosen_type() if is_new else self.instance.integration_type)
        self.stored: dict[str, Any] = {} if is_new else settings_to_edit(self.instance)
        self.connector_fields: dict[str, forms.Field] = {}
        if TYPE in self.fields:
            self.fields[TYPE].choices = grouped_choices(self.user)  # type: ignore[attr-defined]
            self.fields[TYPE].widget.attrs["data-swaps"] = SHOWN_TYPE
        if self.connector is not None:
            self._show_fields_of(self.connector.manifest)

    def chosen_type(self) -> str | None:
        """Return the connector type of a new integration; here it is a field of the form."""
        return self.posted(TYPE) if self.is_bound else self.initial.get(TYPE)

    def _show_fields_of(self, manifest: Any) -> None:
        self.connector_fields = fields_for(manifest, self.stored)
        self.fields.update(self.connector_fields)
        self.show(SHOWN_TYPE, manifest.key)
        if not manifest.signs:
            self.fields.pop("is_signed", None)
        if manifest.rate_limit and "rate_limit_per_minute" in self.fields:
            self.fields["rate_limit_per_minute"].help_text = _limit(manifest.rate_limit)

    def show(self, name: str, value: Any) -> None:
        """Give a field its initial value, if the page has it."""
        if name in self.fields:
            self.initial[name] = self.fields[name].initial = value

    def posted(self, name: str) -> Any:
        """Return what the browser sent for a field, None for nothing."""
        return self.data.get(self.add_prefix(name))

    def full_clean(self) -> None:
        if self.is_bound and self._shows_another_kind():
            assert self.connector is not None  # noqa: S101 - else there would be no fields to show
            self._carry_over()
            self._errors, self.cleaned_data = ErrorDict(), {}
            self.add_error(TYPE, OTHER_KIND.format(label=self.connector.manifest.label))
        else:
            super().full_clean()
        self._ask_again()

    def _shows_another_kind(self) -> bool:
        if self.instance.pk is not None or self.connector is None:
            return False
        shown = self.posted(SHOWN_TYPE)
        return shown is not None and shown != self.connector.manifest.key

    def _carry_over(self) -> None:
        """Keep what was typed; what was not gets the chosen kind's default instead of the other one's."""
        before = connector_of(self.posted(SHOWN_TYPE))
        others = fields_for(before.manifest, {}) if before is not None else {}
        data: Any = self.data.copy()  # type: ignore[attr-defined] # a QueryDict is a dict, whatever the stubs say
        for name, field in self.connector_fields.items():
            key, other = self.add_prefix(name), others.get(name)
            if other is not None and other.has_changed(other.initial, data.get(key)):
                continue
            data.pop(key, None)
            if field.initial:
                data[key] = "on" if field.initial is True else field.initial
        self.data = data

    def _ask_again(self) -> None:
        """After an error, say which fields are empty now although something was typed there."""
        for name, field in self.connector_fields.items() if self._errors else ():
            forgets = getattr(field, "forgets", None)
            if forgets is None or name in self.errors or not forgets(self.posted(name)):
                continue
            if isinstance(field, SecretField):
                self.add_error(name, AGAIN)
            else:
                # Not an error: the field may be fine, and what is wrong elsewhere should stand out.
                self[name].help_text = format_html('<strong class="ig-again">{}</strong> {}', AGAIN, field.help_text)


def _limit(limit: RateLimit) -> str:
    return format_html(
        _("Evenly spaced; empty: {}, the provider's limit{}."),
        limit.per_minute,
        f" ({limit.note})" if limit.note else "",
    )
