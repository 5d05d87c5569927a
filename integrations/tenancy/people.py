"""Who works for a tenant: ``INTEGRATIONS_PEOPLE = "accounts.people.People"`` lets the console show and change it.

The class knows the project's memberships; it needs three methods, whose changes are made in the caller's transaction:

    class People:
        def members(self, tenant): ...            # yields Member(user, role) of everybody who works for it
        def set_role(self, tenant, user, role): ...  # also of somebody who did not work for it; `role` is a word
        def remove(self, tenant, user): ...       # who no longer works for it

It may name the model of its rows, ``memberships = Membership`` (with foreign keys ``tenant`` and ``user``, and a text
``role``): the audit trail then tells of whoever changes them, by whichever way.

Without that setting, the console says that people are managed elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from .roles import Role, role_by_permissions
from .tenant import name_of, tenant_model

SETTING = "INTEGRATIONS_PEOPLE"
METHODS = ("members", "set_role", "remove")


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who works for a tenant.

    Attributes:
        role: "viewer", "operator" or "manager"; "": Django's permissions say what this person may do.
    """

    user: Any
    role: str = ""

    @property
    def effective(self) -> Role | None:
        """The role that it amounts to; None: nothing."""
        if self.user.is_active and self.user.is_superuser:
            return Role.MANAGER
        if not self.user.is_active:
            return None
        return Role.named(self.role) if self.role else role_by_permissions(self.user)

    @property
    def said(self) -> str:
        """The name of the role, for people in their language; "" for none."""
        return Role.named(self.role).said if self.role else ""

    @property
    def name(self) -> str:
        """What people call them."""
        return name_of_user(self.user)


class People(Protocol):
    """What the class of a project has."""

    def members(self, tenant: Any) -> Iterable[Member]:
        """Return everybody who works for `tenant`."""

    def set_role(self, tenant: Any, user: Any, role: str) -> None:
        """Give `user` the role, and make them work for `tenant` if they do not."""

    def remove(self, tenant: Any, user: Any) -> None:
        """Let `user` no longer work for `tenant`."""


def people() -> People | None:
    """Return the project's class, made once for each call; None: people are managed elsewhere.

    Raises:
        ImproperlyConfigured: the class lacks a method.
    """
    path = getattr(settings, SETTING, "")
    if not path:
        return None
    made: Any = import_string(path)()
    if missing := [name for name in METHODS if not callable(getattr(made, name, None))]:
        raise ImproperlyConfigured(
            f"{SETTING}: {path} has no {', '.join(missing)}; see integrations/tenancy/people.py."
        )
    known: People = made
    return known


def membership_model() -> Any:
    """Return the model that the project's class names as `memberships`; None: it names none, or cannot be had."""
    path = getattr(settings, SETTING, "")
    try:
        return getattr(import_string(path), "memberships", None) if path else None
    except ImportError:
        return None  # the console's page says it


def managers_of(tenant: Any) -> list[str]:
    """Return the names of those who may give somebody a role for `tenant`; none where nobody here knows."""
    known = people()
    if known is None:
        return []
    return sorted(member.name for member in known.members(tenant) if member.effective == Role.MANAGER)


def change_role(tenant: Any, user: Any, role: Role) -> None:
    """Give `user` a role for `tenant`, also if they did not work for it.

    Raises:
        ValidationError: they are the last manager, and it is a smaller role.
    """
    with transaction.atomic():
        known = _locked(tenant)
        if role < Role.MANAGER:
            _keep_a_manager(known, tenant, user)
        known.set_role(tenant, user, role.word)


def remove(tenant: Any, user: Any) -> None:
    """Let `user` no longer work for `tenant`.

    Raises:
        ValidationError: they are the last manager.
    """
    with transaction.atomic():
        known = _locked(tenant)
        _keep_a_manager(known, tenant, user)
        known.remove(tenant, user)


def find_user(text: str) -> Any:
    """Return the active account whose name or e-mail address is exactly `text`.

    Raises:
        ValidationError: there is none, or there are several.
    """
    model: Any = get_user_model()
    active = model._default_manager.filter(is_active=True)
    text = text.strip()
    found = list(active.filter(**{model.USERNAME_FIELD: text})[:1]) if text else []
    if not found and "@" in text and any(field.name == "email" for field in model._meta.concrete_fields):
        found = list(active.filter(email__iexact=text)[:2])
    if len(found) > 1:
        raise ValidationError(_("Several accounts have this address; enter the name of the account."))
    if not found:
        raise ValidationError(_("There is no account with this name or address. It must exist before it can be added."))
    return found[0]


def name_of_user(user: Any) -> str:
    """Return what people call `user`: the full name if there is one, else the account's name."""
    full = getattr(user, "get_full_name", str)()
    return str(full or user.get_username())


def _locked(tenant: Any) -> People:
    """Return the project's class; whoever else changes the people of `tenant` waits until the transaction is over."""
    known = people()
    if known is None:
        raise ImproperlyConfigured(f"{SETTING} is not set; people are managed elsewhere.")
    tenant_model()._base_manager.select_for_update(no_key=True).get(pk=tenant.pk)
    return known


def _keep_a_manager(known: People, tenant: Any, leaving: Any) -> None:
    managers = {member.user.pk for member in known.members(tenant) if member.effective == Role.MANAGER}
    if managers == {leaving.pk}:
        raise ValidationError(
            _("{name} is the only manager of {tenant}. Make somebody else a manager first.").format(
                name=name_of_user(leaving), tenant=name_of(tenant)
            )
        )
