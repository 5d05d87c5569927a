"""Who works for a tenant, and as what: see them, add one, give another role, remove one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations import conf, per_minute
from integrations.api_keys.keys import in_use, keys_of, revoke
from integrations.audit.watch_people import note_role
from integrations.console import keyset
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.console.tenant import chosen_tenant
from integrations.health.alert import AlertMute
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.people import (
    Member,
    change_role,
    find_user,
    membership_model,
    name_of_user,
    people,
    remove,
)
from integrations.tenancy.roles import Role
from integrations.tenancy.tenant import key_of, name_of


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


TRIES_PER_MINUTE = 10  # names that a person looks up: accounts of all tenants are looked through


@page(Role.VIEWER)
def members(request: HttpRequest, access: Access) -> HttpResponse:
    """List who works for the tenant; with a POST, add somebody."""
    tenant = chosen_tenant(request, access)
    if tenant is None:
        chosen = {"heading": _("People"), "url": reverse("console:people")}
        return show(request, access, "choose_tenant.html", chosen)
    access.require(Role.VIEWER, tenant.pk)
    known = people()
    form = AddPerson(initial={"role": Role.VIEWER.word})
    if request.method == "POST":
        access.require(Capability.PEOPLE, tenant.pk)
        form = AddPerson(request.POST)
        if form.is_valid() and _add(request, access, tenant, form):
            return _back(tenant)
    may_change = known is not None and access.may(Capability.PEOPLE, tenant.pk)
    rows = [] if known is None else sorted(known.members(tenant), key=lambda member: member.name.lower())
    shown = {
        "tenant": tenant,
        "is_known": known is not None,
        "rows": [
            (member, RoleChoice(initial={"role": member.role}, auto_id=f"{member.user.pk}_%s")) for member in rows
        ],
        "may_change": may_change,
        "form": form,
        "capabilities": [(capability, [role >= capability.role for role in Role]) for capability in Capability],
        "roles": list(Role),
        "me": access.user.pk,
        "is_mailed": _is_mailed(tenant, access.user) if _may_be_mailed(rows, access.user) else None,
    }
    return show(request, access, "people.html", shown)


@page(Role.VIEWER, is_button=True)
def set_role(request: HttpRequest, access: Access, key: str) -> HttpResponse:
    """Give a member another role."""
    tenant, member = _member(request, access, key)
    form = RoleChoice(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a role."))
        return _back(tenant)
    role = Role.named(form.cleaned_data["role"])
    if member.role == role.word:
        return _back(tenant)
    try:
        with transaction.atomic():
            change_role(tenant, member.user, role)
            _note(request, tenant, member.user, member.role, role.word)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return _back(tenant)
    messages.success(request, _("%(name)s is %(role)s now.") % {"name": member.name, "role": role.said})
    return _back(tenant)


@page(Role.VIEWER, is_button=True)
def mail_alerts(request: HttpRequest, access: Access) -> HttpResponse:
    """Stop the mails about alerts of one tenant to the person who asks, or begin them again."""
    tenant = chosen_tenant(request, access)
    if tenant is None:
        raise Http404
    access.require(Role.VIEWER, tenant.pk)
    mute = {"tenant": tenant, "user_key": str(access.user.pk)}
    if request.POST.get("mails") == "on":
        AlertMute.objects.filter(**mute).delete()
        messages.success(request, _("You get alerts of %(tenant)s by mail again.") % {"tenant": name_of(tenant)})
    else:
        AlertMute.objects.get_or_create(**mute)
        messages.success(request, _("You get no more alerts of %(tenant)s by mail.") % {"tenant": name_of(tenant)})
    return _back(tenant)


@page(Role.VIEWER)
def remove_member(request: HttpRequest, access: Access, key: str) -> HttpResponse:
    """Say what removing a member does, and do it when it is posted; keys that they made can go with them."""
    tenant, member = _member(request, access, key)
    made = in_use(keys_of(tenant.pk)).filter(made_by_key=str(member.user.pk))
    may_revoke = access.may(Capability.KEYS, tenant.pk)
    error = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                remove(tenant, member.user)
                _note(request, tenant, member.user, member.role, None)
                for api_key in made.filter(pk__in=keyset.keys_of(request.POST.getlist("key"))) if may_revoke else ():
                    revoke(api_key, actor=access.user)
        except ValidationError as problem:
            error = " ".join(problem.messages)
        else:
            words = {"name": member.name, "tenant": name_of(tenant)}
            messages.success(request, _("%(name)s does not work for %(tenant)s any more.") % words)
            is_self = member.user.pk == access.user.pk
            return HttpResponseRedirect(reverse("console:overview")) if is_self else _back(tenant)
    shown = {"tenant": tenant, "member": member, "keys": made, "may_revoke": may_revoke, "error": error}
    return show(request, access, "people_remove.html", {**shown, "is_self": member.user.pk == access.user.pk})


def _may_be_mailed(members: Sequence[Member], user: Any) -> bool:
    """Tell whether alerts by mail concern `user`: one of the tenant's managers."""
    is_manager = any(member.user.pk == user.pk and member.effective == Role.MANAGER for member in members)
    return is_manager and bool(conf.ALERT_MAIL_MANAGERS)


def _is_mailed(tenant: Any, user: Any) -> bool:
    return not AlertMute.objects.filter(tenant=tenant.pk, user_key=str(user.pk)).exists()


def _add(request: HttpRequest, access: Access, tenant: Any, form: AddPerson) -> bool:
    """Add the person whom the form names; tell whether that worked, else the form says why not."""
    number = per_minute.count(f"find-account:{access.user.pk}")
    if number is not None and number > TRIES_PER_MINUTE:
        form.add_error("account", _("Too many tries. Wait a minute, then try again."))
        return False
    known = people()
    if known is None:
        raise PermissionDenied(_("People are managed elsewhere."))
    role = Role.named(form.cleaned_data["role"])
    try:
        user = find_user(form.cleaned_data["account"])
        if any(member.user.pk == user.pk for member in known.members(tenant)):
            raise ValidationError(_("%(name)s works for the tenant already.") % {"name": name_of_user(user)})
        with transaction.atomic():
            change_role(tenant, user, role)
            _note(request, tenant, user, None, role.word)
    except ValidationError as error:
        form.add_error("account", error)
        return False
    words = {"name": name_of_user(user), "role": role.said}
    messages.success(request, _("%(name)s is added as %(role)s.") % words)
    return True


def _member(request: HttpRequest, access: Access, key: str) -> tuple[Any, Member]:
    """Return the tenant that is named and its member `key`, for somebody who may change them."""
    tenant = chosen_tenant(request, access)
    known = people()
    if tenant is None or known is None:
        raise Http404
    access.require(Capability.PEOPLE, tenant.pk)
    pk = key_of(get_user_model(), key)
    for member in known.members(tenant):
        if pk is not None and member.user.pk == pk:
            return tenant, member
    raise Http404


def _note(request: HttpRequest, tenant: Any, user: Any, before: str | None, after: str | None) -> None:
    """Write down the change, if the rows that it made are not watched."""
    if membership_model() is None:
        note_role(tenant, user, before, after, request=request)


def _back(tenant: Any) -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('console:people')}?tenant={tenant.pk}")
