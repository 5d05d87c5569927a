"""The form for a new API key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms

from integrations import clock
from integrations.api_keys.scopes import Scope

ENDS = [("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("never", "never")]


class NewKey(forms.Form):
    """Name, scopes and end of a key; what is possible depends on who makes it."""

    name = forms.CharField(
        max_length=100,
        help_text="What it is for, such as: nightly report. It is shown beside what the key does.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label="It may", widget=forms.CheckboxSelectMultiple, error_messages={"required": "Choose what the key may do."}
    )
    ends = forms.ChoiceField(choices=ENDS, label="It expires")

    def __init__(self, *args: Any, offered: Iterable[Scope], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [(scope.name, scope.words) for scope in offered]  # type: ignore[attr-defined]

    def expires_at(self) -> datetime | None:
        """Return when the key ends, None for never."""
        days = self.cleaned_data["ends"]
        return None if days == "never" else clock.now() + timedelta(days=int(days))
