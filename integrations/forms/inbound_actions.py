"""What an integration may do here when it calls back: a checkbox for each action, where its type calls back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.inbound.actions import action_choices, action_named, not_theirs

from .choice import offers_actions
from .fields import form_name
from .settings_form import SettingsForm, sentence

NEW_SECRET = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'  # noqa: S105 - a command


class InboundActionsField(forms.MultipleChoiceField):
    """The names of the actions that are ticked, none at first."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self) -> None:
        super().__init__(
            label=gettext_lazy("May do when it calls back"),
            required=False,
            help_text=gettext_lazy(
                "What the other side may do here, with this tenant's data alone: nothing unless it is "
                "ticked. Save, and each ticked one has its own address to call."
            ),
        )

    def offer(self, integration: TenantIntegration) -> None:
        """Offer every action, and what is ticked and no longer there, so that it can be taken away."""
        choices: list[tuple[str, SafeString | str]] = [
            (name, _described(name, label)) for name, label in action_choices()
        ]
        offered = dict(choices)
        choices += [
            (name, _("{name} (no longer offered)").format(name=name))
            for name in integration.inbound_actions
            if name not in offered
        ]
        self.choices = choices


def _described(name: str, label: str) -> SafeString:
    action = action_named(name)
    return format_html('{} <span class="ig-quiet">{}</span>', _(label), _(action.help) if action else "")


class CallsBackForm(SettingsForm):
    """Base of the forms that offer what an integration may do; it is in their ``Meta.fields``, too."""

    inbound_actions = InboundActionsField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields.get("inbound_actions")
        connector = self.connector
        if connector is None or not offers_actions(connector, self.instance):
            self.fields.pop("inbound_actions", None)
            return
        if isinstance(field, InboundActionsField):
            field.offer(self.instance)
        inbound = connector.manifest.inbound
        secret = self.fields.get(form_name(inbound.secret_field)) if inbound is not None else None
        if secret is not None:
            own = mark_safe(secret.help_text)  # noqa: S308 - escaped where it was made
            secret.help_text = format_html("{} {} <code>{}</code>", own, _("To make one:"), NEW_SECRET)

    def clean_inbound_actions(self) -> list[str]:
        names: list[str] = self.cleaned_data["inbound_actions"]
        if problem := not_theirs(self.user, names, self.initial.get("inbound_actions") or ()):
            raise ValidationError(sentence(problem))
        return names
