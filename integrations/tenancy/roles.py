"""What a person may do for a tenant: viewer, operator or manager.

``INTEGRATIONS_ROLE_OF = "accounts.access.role_of"`` names a function ``(user, tenant_key) -> "viewer" | "operator" |
"manager" | None``. Without it, Django's permissions say: who may change integrations is a manager, who may change their
deliveries an operator, who may see either a viewer; in the tenants that the person may see (scope.py).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from integrations.label import permission

from .scope import tenants_of


class Role(IntEnum):
    """What a person may do for one tenant; each may do what those before it may."""

    VIEWER = 1
    OPERATOR = 2
    MANAGER = 3

    @property
    def word(self) -> str:
        """The name of the role, for people."""
        return self.name.lower()


def role_of(user: Any, tenant_key: Any) -> Role | None:
    """Return the role of `user` for one tenant; None: that tenant does not exist for this person."""
    if not user.is_active or not tenants_of(user).filter(pk=tenant_key).exists():
        return None
    path = getattr(settings, "INTEGRATIONS_ROLE_OF", "")
    if not path or user.is_superuser:
        return role_by_permissions(user)
    word = import_string(path)(user, tenant_key)
    return Role[word.upper()] if word else None


def role_by_permissions(user: Any) -> Role | None:
    """Return the role that Django's permissions amount to; a superuser is a manager."""
    if user.has_perm(permission("change", "tenantintegration")):
        return Role.MANAGER
    if user.has_perm(permission("change", "integrationsync")):
        return Role.OPERATOR
    may_see = user.has_perm(permission("view", "tenantintegration")) or user.has_perm(
        permission("view", "integrationsync")
    )
    return Role.VIEWER if may_see else None
