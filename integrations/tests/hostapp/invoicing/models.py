"""Models of a host that knows nothing of integrations: its own managers, keys, and `save()`."""

from __future__ import annotations

from typing import Any

from django.db import models


class Client(models.Model):
    """Whom invoices are for; the tenant is one step away."""

    account = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    """What a host writes: an `update()` that adds to what is written, and asks Django for the rest."""

    def update(self, **values: Any) -> int:
        return super().update(**values, version=models.F("version") + 1)

    def send_all(self) -> int:
        return self.filter(status="draft").update(status="sent")


class InvoiceManager(models.Manager["Invoice"]):
    """Leaves out what is in the bin, and hands out a queryset that it makes itself."""

    def get_queryset(self) -> InvoiceQuerySet:
        return InvoiceQuerySet(self.model, using=self._db).filter(in_bin=False)

    def send_all(self) -> int:
        return self.get_queryset().send_all()


class Invoice(models.Model):
    """Belongs to the tenant of its client: two steps away."""

    id = models.AutoField(primary_key=True)
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="invoices")
    number = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=10, choices=[("draft", "Draft"), ("sent", "Sent")], default="draft")
    amount = models.DecimalField(max_digits=9, decimal_places=2, default=0)
    version = models.IntegerField(default=0)
    in_bin = models.BooleanField(default=False)
    tags = models.ManyToManyField("Tag", blank=True)
    watchers = models.ManyToManyField(Client, blank=True, related_name="watched")
    referrer = models.ForeignKey(Client, on_delete=models.SET_NULL, null=True, related_name="referred")
    reminder = models.ForeignKey("Reminder", on_delete=models.SET_NULL, null=True, related_name="invoices")

    objects = InvoiceManager()
    everything = models.Manager()

    class Meta:
        default_manager_name = "everything"

    def __str__(self) -> str:
        return self.number

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.number:
            self.number = f"INV-{self.client.name}"
        super().save(*args, **kwargs)


class Payment(models.Model):
    """Says itself whose it is."""

    account = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="payments")
    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text


class Receipt(models.Model):
    """One for each invoice."""

    account = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    invoice = models.OneToOneField(Invoice, on_delete=models.CASCADE, related_name="receipt")
    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text


class Tag(models.Model):
    """Anybody's."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Reminder(models.Model):
    """Belongs to a tenant, perhaps: its key may be null, and a second one leads there, too."""

    account = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, null=True, related_name="+")
    copied_to = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, null=True, related_name="+")
    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text


class Stock(models.Model):
    """Belongs to a tenant directly; its key is the host's."""

    code = models.CharField(max_length=20, primary_key=True)
    account = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    count = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.code


class SpecialStock(Stock):
    """Has a table of its own."""

    reason = models.CharField(max_length=50)
