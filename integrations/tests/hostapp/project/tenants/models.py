from django.db import models


class Flat(models.Model):
    """What a tenant of a house rents: an app may be called `tenants` and have nothing to do with ours."""

    door = models.CharField(max_length=20)

    def __str__(self):
        return self.door
