"""What an integration may do here when it calls back: a checkbox for each action."""

from __future__ import annotations

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.connections.models import TenantIntegration
from integrations.inbound.actions import action_choices, action_named


class InboundActionsField(forms.MultipleChoiceField):
    """The names of the actions that are ticked, none at first."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self) -> None:
        super().__init__(
            label="May do when it calls back",
            required=False,
            help_text="What the other side may do here, with this tenant's data alone: nothing unless it is ticked. "
            "Save, and each ticked one has its own address to call below.",
        )

    def offer(self, integration: TenantIntegration) -> None:
        """Offer every action, and what is ticked and no longer there, so that it can be taken away."""
        choices: list[tuple[str, SafeString | str]] = [
            (name, _described(name, label)) for name, label in action_choices()
        ]
        offered = dict(choices)
        choices += [
            (name, f"{name} (no longer offered)") for name in integration.inbound_actions if name not in offered
        ]
        self.choices = choices


def _described(name: str, label: str) -> SafeString:
    action = action_named(name)
    return format_html('{} <span class="ig-quiet">{}</span>', label, action.help if action else "")
