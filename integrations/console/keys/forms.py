"""The form for a new API key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from integrations.api_keys.scopes import Scope
from integrations.database import clock

ENDS = [
    ("30", gettext_lazy("in 30 days")),
    ("90", gettext_lazy("in 90 days")),
    ("365", gettext_lazy("in a year")),
    ("never", gettext_lazy("never")),
]


class NewKey(forms.Form):
    """Name, scopes and end of a key; what is possible depends on who makes it."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        help_text=gettext_lazy("What it is for, such as: nightly report. It is shown beside what the key does."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("It may"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose what the key may do.")},
    )
    ends = forms.ChoiceField(choices=ENDS, label=gettext_lazy("It expires"))

    def __init__(self, *args: Any, offered: Iterable[Scope], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [(scope.name, gettext(scope.words)) for scope in offered]  # type: ignore[attr-defined]

    def expires_at(self) -> datetime | None:
        """Return when the key ends, None for never."""
        days = self.cleaned_data["ends"]
        return None if days == "never" else clock.now() + timedelta(days=int(days))
