"""Where things are brought in."""

from __future__ import annotations

from django.db import models

from tenants.models import TenantOwned


class DropoffPoint(TenantOwned):
    """A shop or counter of a tenant."""

    name = models.CharField(max_length=200)

    class Meta(TenantOwned.Meta):
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
