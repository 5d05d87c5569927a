"""API keys: list them, make one and show it once, revoke one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext as _

from integrations import conf
from integrations.api_keys.keys import in_use, make_key, revoke, scopes_for
from integrations.api_keys.models import APIKey
from integrations.api_keys.scopes import Scope
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.console.tenant import chosen_tenant
from integrations.credentials.error_reports import hides_secrets
from integrations.database import clock
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.people import people
from integrations.tenancy.roles import Role, role_of
from integrations.tenancy.tenant import key_of

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


LISTED, ENDED_LISTED = 200, 50


@page(Capability.KEYS)
def keys(request: HttpRequest, access: Access) -> HttpResponse:
    """List the keys that work, and those that ended lately."""
    now = clock.now()
    mine = access.rows(APIKey.objects.select_related("tenant"))
    rows = list(in_use(mine, now)[:LISTED])
    over = mine.filter(Q(expires_at__lte=now) | Q(revoked_at__isnull=False))[:ENDED_LISTED]
    shown = {
        "rows": who_left(rows, access.tenant),
        "ended": [(key, key.why_not(now)) for key in over],
        "limit": conf.API_KEY_PER_MINUTE,
    }
    return show(request, access, "keys.html", shown)


@hides_secrets
@page(Capability.KEYS)
def new_key(request: HttpRequest, access: Access) -> HttpResponse:
    """Make a key; the answer shows it, once."""
    tenant = chosen_tenant(request, access)
    if tenant is None:
        chosen = {"heading": _("New API key"), "url": reverse("console:keys-new")}
        return show(request, access, "choose_tenant.html", chosen)
    access.require(Capability.KEYS, tenant.pk)
    offered = scopes_for(access.user, tenant.pk)
    is_posted = request.method == "POST"
    form = NewKey(request.POST if is_posted else None, offered=offered, initial={"scopes": ["read"], "ends": "90"})
    if is_posted and form.is_valid():
        try:
            values = form.cleaned_data
            key, text = make_key(
                tenant, values["name"], values["scopes"], user=access.user, expires_at=form.expires_at()
            )
        except ValidationError as error:
            for name, problems in error.message_dict.items():
                form.add_error(name if name in form.fields else None, problems)
        else:
            address = request.build_absolute_uri(_api()) if _api() else ""
            return show(request, access, "keys_made.html", {"key": key, "text": text, "address": address})
    return show(request, access, "keys_new.html", {"form": form, "tenant": tenant, "offered": offered})


@page(Capability.KEYS, is_button=True)
def revoke_key(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Refuse a key from now on."""
    key = access.one(APIKey.objects.all(), pk=pk)
    access.require(Capability.KEYS, key.tenant_id)
    if revoke(key, actor=access.user):
        messages.success(request, _("%(name)s is revoked: its next request is refused.") % {"name": key.name})
    else:
        messages.info(request, _("%(name)s was revoked before.") % {"name": key.name})
    return HttpResponseRedirect(reverse("console:keys"))


def who_left(keys: list[APIKey], tenant: Any) -> list[tuple[APIKey, str]]:
    """Return each key with the reason why the person who made it could not make it now, "" if they could.

    Args:
        tenant: whose keys they are; None: several tenants', and then only accounts that ended are told.
    """
    model = get_user_model()
    pks = {key_of(model, key.made_by_key) for key in keys} - {None}
    makers = {str(user.pk): user for user in model._default_manager.filter(pk__in=pks)}
    roles = _roles_of(makers, tenant) if tenant is not None else None
    return [(key, _why_left(makers.get(key.made_by_key), roles)) for key in keys]


def _roles_of(makers: dict[str, Any], tenant: Any) -> dict[str, Role | None]:
    """Return each one's role for the tenant: of all together where the project says who works for it."""
    known = people()
    if known is None:
        return {pk: role_of(user, tenant.pk) for pk, user in makers.items()}
    working = {str(member.user.pk): member for member in known.members(tenant)}
    found = {pk: working[pk].effective if pk in working else None for pk in makers}
    return found | {pk: Role.MANAGER for pk, user in makers.items() if user.is_superuser}


def _why_left(maker: Any, roles: dict[str, Role | None] | None) -> str:
    if maker is None:
        return _("has no account any more")
    if not maker.is_active:
        return _("may not sign in any more")
    if roles is None:
        return ""
    role = roles[str(maker.pk)]
    if role is None:
        return _("does not work here any more")
    return "" if role >= Capability.KEYS.role else _("is %(role)s now") % {"role": role.said}


def _api() -> str:
    """Return the address of a call to try a key with, "" if the project has no API."""
    try:
        return reverse("integrations-api-v1:me")
    except NoReverseMatch:
        return ""
