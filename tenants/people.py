"""Who works for a tenant of the example: what the console's page about people reads and changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from integrations.tenancy.people import Member

from .models import Membership, Tenant


class People:
    """Memberships, as the library wants them."""

    memberships = Membership

    def members(self, tenant: Tenant) -> Iterator[Member]:
        for membership in Membership.objects.filter(tenant=tenant).select_related("user").order_by("user__username"):
            yield Member(membership.user, membership.role)

    def set_role(self, tenant: Tenant, user: Any, role: str) -> None:
        Membership.objects.update_or_create(tenant=tenant, user=user, defaults={"role": role})

    def remove(self, tenant: Tenant, user: Any) -> None:
        Membership.objects.filter(tenant=tenant, user=user).delete()
