from django.db import models


class InvoiceManager(models.Manager):
    """Its own; nothing of a library's."""


class Invoice(models.Model):
    account = models.ForeignKey("accounts.Account", on_delete=models.CASCADE)
    number = models.CharField(max_length=20)
    total = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    paid = models.BooleanField(default=False)

    objects = InvoiceManager()

    def __str__(self):
        return self.number
