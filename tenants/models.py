"""Tenants, the people in them, and the base of every row that belongs to one."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models, router
from django.db.models.functions import Now
from django.db.models.signals import class_prepared
from django.dispatch import receiver
from django.utils.text import slugify

from .announcing import AnnouncingQuerySet, own_transaction
from .boundary import bound_relations
from .checked_texts import CheckedTexts
from .deletion import BatchedDeletion, delete_batched, deletion_begins


class TenantQuerySet(BatchedDeletion, models.QuerySet["Tenant"]):
    """Deletes tenants in batches."""


class Tenant(CheckedTexts):
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
    deleting_since = models.DateTimeField(null=True, blank=True, editable=False)  # being deleted, in batches
    deleting_rows_left = models.PositiveBigIntegerField(null=True, blank=True, editable=False)  # null: nobody began yet

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Delete the tenant with all it has, in batches (deletion.py); return when it is gone."""
        return delete_batched(self, using=using)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.slug:
            self.slug = free_slug(self.name, type(self)._default_manager.exclude(pk=self.pk))
            if (columns := kwargs.get("update_fields")) is not None:
                kwargs["update_fields"] = {*columns, "slug"}
        super().save(*args, **kwargs)


@receiver(deletion_begins, sender=Tenant, dispatch_uid="mark-tenants")
def mark_tenants(pks: list[Any], using: str, **_: Any) -> None:
    """Mark tenants as being deleted: nobody but superusers sees them any more, and no key names them."""
    Tenant.objects.using(using).filter(pk__in=pks, deleting_since=None).update(deleting_since=Now())


def free_slug(name: str, others: models.QuerySet[Any]) -> str:
    """Return ``acme-corp`` for "Acme Corp", ``acme-corp-2`` if one of `others` is called that; never a mere number."""
    base = slugify(name)[:190] or "tenant"
    base = f"tenant-{base}" if base.isdigit() else base
    taken = set(others.filter(slug__startswith=base).values_list("slug", flat=True))
    numbers = (f"{base}-{number}" for number in count(2))
    return base if base not in taken else next(slug for slug in numbers if slug not in taken)


class Membership(models.Model):
    """A user works for a tenant; what they may do there, Django's permissions say."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="one_membership_per_user")]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"


class TenantOwned(CheckedTexts):
    """A row that belongs to a tenant.

    ``save()`` and ``delete()`` open the transaction themselves: in autocommit Django sends ``post_save``
    only after the row is durable, so whatever a signal handler records would be a second, separate commit,
    and a crash between the two would lose it (docs/adr/0002).

    A row never changes its tenant: what the one wrote would be told to the other.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)

    objects = AnnouncingQuerySet.as_manager()
    unannounced = models.Manager()  # for writes that nobody has to hear of

    class Meta:
        abstract = True
        # Django writes through this one itself: related_set.add(), and SET_NULL when a customer is deleted.
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        loaded = self.__dict__.get("_loaded_tenant_id")
        if loaded is not None and loaded != self.tenant_id and not self._state.adding and self._is_anothers(using):
            raise ValueError(f"A {self._meta.verbose_name} cannot move to another tenant; make a new one there.")
        with own_transaction(using):
            super().save(*args, **kwargs)
        self._loaded_tenant_id = self.tenant_id

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with own_transaction(kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            return super().delete(*args, **kwargs)

    def _is_anothers(self, using: str) -> bool:
        """Tell whether the row is there, and of another tenant: what was loaded or saved may have been rolled back."""
        rows = type(self)._base_manager.using(using).filter(pk=self.pk)
        return rows.exclude(tenant_id=self.tenant_id).exists()

    @classmethod
    def from_db(cls, db: str | None, field_names: Any, values: Any, **options: Any) -> Any:
        instance: Any = super().from_db(db, field_names, values, **options)
        instance._loaded_tenant_id = instance.__dict__.get("tenant_id")
        return instance


@receiver(class_prepared, dispatch_uid="bound-relations")
def _bound_relations(sender: type[models.Model], **_: Any) -> None:
    if issubclass(sender, TenantOwned):
        bound_relations(sender)
