"""The forms of the page about people."""

from __future__ import annotations

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.tenancy.roles import Role


def roles() -> list[tuple[str, str]]:
    """Return what a select offers."""
    return [(role.word, capfirst(role.said)) for role in Role]


class AddPerson(forms.Form):
    """Add an account that exists."""

    account = forms.CharField(
        label=gettext_lazy("Account"),
        max_length=254,
        help_text=gettext_lazy("The exact user name or e-mail address of somebody who has an account here."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    role = forms.ChoiceField(choices=roles, label=gettext_lazy("Role"))


class RoleChoice(forms.Form):
    """Choose a role; a person without one keeps "by permissions" until somebody chooses."""

    role = forms.ChoiceField(choices=roles, label=gettext_lazy("Role"))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        if not self.is_bound and not self.initial.get("role"):
            self.fields["role"].choices = [("", _("By permissions")), *roles()]  # type: ignore[attr-defined]
