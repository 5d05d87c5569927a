"""Groups of Django's permissions that fit the roles, for staff who work in the admin; made by ``migrate``.

What is missing in them is added with each ``migrate``, and nothing is taken away. Who wants something else makes a
group of their own.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role

from .access import ANY

NAMES = {role: f"Integrations: {role.word}" for role in Role}

# Beside what capabilities name: what the admin's pages ask for.
_SEEN = ("eventsubscription", "integrationevent", "executionlog", "webhookevent", "syncstate", "erppushlog")
_ALSO: dict[Role, tuple[tuple[str, str], ...]] = {
    Role.VIEWER: tuple(("view", model) for model in _SEEN),
    Role.OPERATOR: (("change", "webhookevent"),),
    Role.MANAGER: (("view", "apikey"), ("add", "syncstate"), ("delete", "syncstate")),
}
# For these, the permission to change integrations is needed, which is a manager's.
_NOT_OF_THE_ROLE = frozenset({Capability.TEST, Capability.PAUSE, Capability.PUSH})


def codenames_of(role: Role) -> set[str]:
    """Return the permissions of the group for `role`, those of the smaller roles among them."""
    named = {
        f"{action}_{model}"
        for capability in Capability
        if capability.role <= role and (role == Role.MANAGER or capability not in _NOT_OF_THE_ROLE)
        for action, model in capability.permissions
    }
    also = {f"{action}_{model}" for each in Role if each <= role for action, model in _ALSO[each]}
    return named | also | ({ANY} if role == Role.MANAGER else set())


def ensure_groups(app: AppConfig, using: str) -> None:
    """Make the groups that are missing in the database `using`, and add the permissions that they lack."""
    create_permissions(app, verbosity=0, using=using)  # where Django's own app comes after ours
    own = Permission.objects.using(using).filter(content_type__app_label=app.label)
    for role, name in NAMES.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        wanted = own.filter(codename__in=codenames_of(role))
        there = set(group.permissions.using(using).values_list("pk", flat=True))
        missing = [permission for permission in wanted if permission.pk not in there]
        # Nobody's doing, so the audit trail hears nothing of it; its table may be yet to come.
        through: Any = Group.permissions.through
        rows = [through(group=group, permission=permission) for permission in missing]
        through.objects.using(using).bulk_create(rows, ignore_conflicts=True)
