"""Who brings things in, and what they bring."""

from __future__ import annotations

from django.db import models

from tenants.models import TenantOwned


class Customer(TenantOwned):
    """A person or company that a tenant works for."""

    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)

    class Meta(TenantOwned.Meta):
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CustomerAsset(TenantOwned):
    """A thing that a customer owns, e.g. an iPhone 13 Pro."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="assets")
    name = models.CharField(max_length=200)

    class Meta(TenantOwned.Meta):
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
