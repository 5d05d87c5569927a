"""The forms of the page about people."""

from __future__ import annotations

from django import forms

from integrations.tenancy.roles import Role

ROLES = [(role.word, role.word.capitalize()) for role in Role]


class AddPerson(forms.Form):
    """Add an account that exists."""

    account = forms.CharField(
        label="Account",
        max_length=254,
        help_text="The exact user name or e-mail address of somebody who has an account here.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    role = forms.ChoiceField(choices=ROLES)


class RoleChoice(forms.Form):
    """Choose a role; a person without one keeps "by permissions" until somebody chooses."""

    role = forms.ChoiceField(choices=ROLES)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        if not self.is_bound and not self.initial.get("role"):
            self.fields["role"].choices = [("", "By permissions"), *ROLES]  # type: ignore[attr-defined]
