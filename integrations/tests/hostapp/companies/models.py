# companies/models.py
from django.conf import settings
from django.db import models


class Company(models.Model):
    """A tenant."""

    name = models.CharField(max_length=100)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True)

    def __str__(self):
        return self.name
