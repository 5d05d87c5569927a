"""What a person may do for a tenant: viewer, operator or manager.

``INTEGRATIONS_ROLE_OF = "accounts.access.role_of"`` names a function ``(user, tenant_key)`` that answers

    "viewer", "operator", "manager"   the role, whatever Django's permissions are
    "permissions"                     Django's permissions say what this person may do for this tenant
    None                              nothing

Without that setting, Django's permissions say it for every tenant that the person may see (scope.py). A superuser is a
manager everywhere. What each role may is in capabilities.py.

``INTEGRATIONS_ROLES_OF`` names a function ``(user)`` that answers all of it at once, as a dict of such words by tenant
key. Set it too where people work for many tenants; it must say the same.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum, nonmember
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django.utils.translation import gettext, gettext_noop

from integrations.label import permission

from .scope import tenants_of

SETTING, ALL_SETTING = "INTEGRATIONS_ROLE_OF", "INTEGRATIONS_ROLES_OF"
BY_PERMISSIONS = "permissions"


_SAID = {"viewer": gettext_noop("viewer"), "operator": gettext_noop("operator"), "manager": gettext_noop("manager")}


class Role(IntEnum):
    """What a person may do for one tenant; each may do what those before it may."""

    VIEWER = 1
    OPERATOR = 2
    MANAGER = 3
    do_not_call_in_templates = nonmember(True)  # {{ Role.MANAGER }}: Django calls whatever can be called

    @property
    def word(self) -> str:
        """The name of the role, for programs."""
        return self.name.lower()

    @property
    def said(self) -> str:
        """The name of the role, for people in their language."""
        return gettext(_SAID[self.word])

    @classmethod
    def named(cls, word: str) -> Role:
        """Return the role that is called `word`.

        Raises:
            ValueError: there is none of that name.
        """
        for role in cls:
            if role.word == word:
                return role
        raise ValueError(f"There is no role {word!r}; there are {', '.join(role.word for role in cls)}.")


def role_of(user: Any, tenant_key: Any) -> Role | None:
    """Return the role of `user` for one tenant; None: that tenant does not exist for this person.

    Of somebody for whom Django's permissions say it, the largest role whose work they allow.
    """
    said = said_role(user, tenant_key)
    return said if isinstance(said, Role) else role_by_permissions(user) if said else None


def said_role(user: Any, tenant_key: Any) -> Role | str | None:
    """Return the role that somebody gave to `user` for one tenant; BY_PERMISSIONS where nobody did."""
    if not user.is_active:
        return None
    if not tenants_of(user).filter(pk=tenant_key).exists():
        return None
    return role_in_scope(user, tenant_key)


def role_in_scope(user: Any, tenant_key: Any) -> Role | str | None:
    """Return the same for a tenant that the caller found among those of the user."""
    if user.is_superuser:
        return Role.MANAGER
    path = getattr(settings, SETTING, "")
    return _read(import_string(path)(user, tenant_key) if path else BY_PERMISSIONS, SETTING)


def said_roles(user: Any, keys: Collection[Any] | None = None) -> dict[Any, Role | str]:
    """Return the same for all tenants of `user`, by the tenant's key; those in which they have nothing are left out.

    Args:
        keys: of the tenants of the user, where the caller has read them; None: ask.
    """
    if not user.is_active:
        return {}
    if keys is None:
        keys = tenants_of(user).values_list("pk", flat=True)
    path = getattr(settings, ALL_SETTING, "")
    if path and not user.is_superuser:
        words = import_string(path)(user)
        said = {key: _read(words.get(key), ALL_SETTING) for key in keys}
    else:
        said = {key: role_in_scope(user, key) for key in keys}
    return {key: role for key, role in said.items() if role is not None}


def _read(word: Any, setting: str) -> Role | str | None:
    if word is None or word == BY_PERMISSIONS:
        return word
    try:
        return Role.named(word)
    except ValueError as error:
        path = getattr(settings, setting)
        raise ImproperlyConfigured(f"{setting}: {path} answered {word!r}. {error}") from None


def role_by_permissions(user: Any) -> Role | None:
    """Return the role that Django's permissions amount to; a superuser is a manager."""

    def has(*actions: str, model: str = "tenantintegration") -> bool:
        return all(user.has_perm(permission(action, model)) for action in actions)

    if has("add", "change", "delete"):
        return Role.MANAGER
    if has("change", model="integrationsync"):
        return Role.OPERATOR
    return Role.VIEWER if has("view") or has("view", model="integrationsync") else None
