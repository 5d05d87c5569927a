"""Which tenants a person may see."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from .models import Tenant


def tenants_of(user: Any) -> QuerySet[Tenant]:
    """Return the tenants that `user` may see: all for a superuser, else those of their memberships.

    One that is being deleted is gone for everybody but superusers.
    """
    if user.is_active and user.is_superuser:
        return Tenant.objects.all()
    return Tenant.objects.filter(membership__user_id=user.pk, deleting_since=None)


def find_tenant(key: Any) -> Tenant | None:
    """Return the tenant that `key` names: a Tenant, its id, or its slug ("acme-corp"); None if there is none.

    Digits are always an id: a tenant that is called "7" must not get what is meant for number 7.
    """
    if isinstance(key, Tenant):
        return key
    present = Tenant.objects.filter(deleting_since=None)
    if isinstance(key, bool) or not isinstance(key, int | str):
        return None
    if isinstance(key, str) and not key.isdigit():
        return present.filter(slug=key).first()
    is_id = str(key).isascii() and len(str(key)) < 19
    return present.filter(pk=int(key)).first() if is_id else None
