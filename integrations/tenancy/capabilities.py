"""What there is to be done, and who may do it: the one table that console, API, admin and documentation ask.

    may(request.user, Capability.RETRY, integration.tenant_id)

A person with a role may do what the role may. Where Django's permissions say what a person may (roles.py), each line
names those that it takes; one that names none is for people with a role, and for superusers.
"""

from __future__ import annotations

from enum import Enum, nonmember
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy

from integrations.label import permission

from .roles import BY_PERMISSIONS, Role, said_role, said_roles
from .scope import tenants_of

_INTEGRATION, _SYNC, _KEY = "tenantintegration", "integrationsync", "apikey"


class Capability(Enum):
    """One kind of thing to do for a tenant.

    Attributes:
        role: the smallest role that may do it.
        words: what it is, after "may".
        permissions: (action, model) of each permission that somebody without a role needs.
    """

    VIEW = (
        Role.VIEWER,
        gettext_lazy("see integrations, their settings without secrets, and their health"),
        (("view", _INTEGRATION),),
    )
    VIEW_DELIVERIES = (
        Role.VIEWER,
        gettext_lazy("see events, deliveries, inbound webhooks, pulls and pushes"),
        (("view", _SYNC),),
    )
    RETRY = Role.OPERATOR, gettext_lazy("retry and replay deliveries"), (("change", _SYNC),)
    CANCEL = Role.OPERATOR, gettext_lazy("cancel deliveries"), (("change", _SYNC),)
    TEST = Role.OPERATOR, gettext_lazy("test a connection, send a test event"), (("change", _INTEGRATION),)
    PAUSE = Role.OPERATOR, gettext_lazy("pause, resume and re-enable an integration"), (("change", _INTEGRATION),)
    PULL = Role.OPERATOR, gettext_lazy("start a pull, process an inbound webhook again"), (("change", "syncstate"),)
    PUSH = Role.OPERATOR, gettext_lazy("push an order"), (("change", _INTEGRATION),)
    ADD = Role.MANAGER, gettext_lazy("set up integrations"), (("add", _INTEGRATION),)
    SETTINGS = Role.MANAGER, gettext_lazy("change integrations and their subscriptions"), (("change", _INTEGRATION),)
    SECRETS = Role.MANAGER, gettext_lazy("enter, rotate and see secrets"), (("change", _INTEGRATION),)
    DELETE = Role.MANAGER, gettext_lazy("delete integrations"), (("delete", _INTEGRATION),)
    BACKFILL = (
        Role.MANAGER,
        gettext_lazy("send the present state of all objects"),
        (("change", _INTEGRATION), ("change", _SYNC)),
    )
    AUDIT = Role.MANAGER, gettext_lazy("read the audit trail"), (("view", "auditentry"),)
    KEYS = Role.MANAGER, gettext_lazy("make and revoke API keys"), (("add", _KEY), ("change", _KEY))
    PEOPLE = Role.MANAGER, gettext_lazy("say who works for the tenant, and as what"), ()
    do_not_call_in_templates = nonmember(True)  # {% needs Capability.ADD %}: Django calls whatever can be called

    def __init__(self, role: Role, words: str, permissions: tuple[tuple[str, str], ...]) -> None:
        # Enum takes members of equal value for one; these differ in their words.
        self.role, self.words, self.permissions = role, words, permissions

    def permission_names(self) -> list[str]:
        """Return the permissions as ``user.has_perms`` takes them."""
        return [permission(action, model) for action, model in self.permissions]

    def is_allowed_by(self, user: Any, said: Role | str | None) -> bool:
        """Tell whether `user`, of whom `said` is the role or BY_PERMISSIONS (roles.py), may do it."""
        if isinstance(said, Role):
            return said >= self.role
        return said == BY_PERMISSIONS and bool(self.permissions) and user.has_perms(self.permission_names())


def may(user: Any, capability: Capability, tenant_key: Any) -> bool:
    """Tell whether `user` may do it for this tenant; False also where the tenant does not exist for them."""
    return capability.is_allowed_by(user, said_role(user, tenant_key))


def tenants_where(user: Any, capability: Capability) -> QuerySet[Any]:
    """Return the tenants for which `user` may do it."""
    tenants = tenants_of(user)
    if user.is_active and user.is_superuser:
        return tenants
    return tenants.filter(pk__in=[k for k, said in said_roles(user).items() if capability.is_allowed_by(user, said)])
