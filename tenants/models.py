"""The example's tenants, and the people in them."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.text import slugify

from integrations.tenancy.checked_texts import CheckedTexts
from integrations.tenancy.marks import MarkedDeletion
from integrations.tenancy.owned import TenantOwned

__all__ = ["Membership", "Tenant", "TenantOwned", "free_slug"]


class Tenant(MarkedDeletion, CheckedTexts):
    """One customer of the product; nothing of one tenant is ever visible to another."""

    name = models.CharField(max_length=200, unique=True)
    slug = models.SlugField(
        max_length=200,
        unique=True,
        null=True,
        blank=True,
        validators=[RegexValidator(r"[^0-9]", "A slug of digits alone would be taken for an id.")],
        help_text="The tenant's name in code and in the API, e.g. acme-corp; empty: made from the name.",
    )
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="tenants")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.slug:
            self.slug = free_slug(self.name, type(self)._default_manager.exclude(pk=self.pk))
            if (columns := kwargs.get("update_fields")) is not None:
                kwargs["update_fields"] = {*columns, "slug"}
        super().save(*args, **kwargs)


def free_slug(name: str, others: models.QuerySet[Any]) -> str:
    """Return ``acme-corp`` for "Acme Corp", ``acme-corp-2`` if one of `others` is called that; never a mere number."""
    base = slugify(name)[:190] or "tenant"
    base = f"tenant-{base}" if base.isdigit() else base
    taken = set(others.filter(slug__startswith=base).values_list("slug", flat=True))
    numbers = (f"{base}-{number}" for number in count(2))
    return base if base not in taken else next(slug for slug in numbers if slug not in taken)


class Membership(models.Model):
    """A user works for a tenant, with a role; without one, Django's permissions say what they may do there."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "Viewer: sees"
        OPERATOR = "operator", "Operator: retries, tests, pauses"
        MANAGER = "manager", "Manager: settings, secrets, keys, people"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    # Empty also for everybody who was a member before there were roles: they may do what they could.
    role = models.CharField(
        max_length=10,
        choices=Role.choices,
        blank=True,
        default="",
        db_default="",
        help_text="What they may do with the tenant's integrations; empty: what their Django permissions say.",
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="one_membership_per_user")]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"
