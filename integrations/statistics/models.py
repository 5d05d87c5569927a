"""Where figures are kept: of each integration, of each tenant, of all; by the minute, the hour and the day.

A tenant's figures are not those of its integrations that are left: what a deleted one did was done.
"""

from __future__ import annotations

from django.db import models

from integrations.connections.models import TenantIntegration
from integrations.tenancy.key import TenantKey

from .figures import AGES, COUNTS, DURATIONS, SUMS

MINUTE, HOUR, DAY = 1, 60, 1440  # resolutions, in minutes


class Stretch(models.Model):
    """Figures of one stretch of time.

    Times are whole minutes since 1970 (UTC), which both databases compute with alike.
    """

    resolution = models.SmallIntegerField()  # how long it is, in minutes
    start = models.IntegerField()

    class Meta:
        abstract = True
        verbose_name, verbose_name_plural = "stretch of figures", "stretches of figures"

    def __str__(self) -> str:
        return f"{self.resolution} min from {self.start}"


for _name in (*COUNTS, *DURATIONS, *AGES):
    Stretch.add_to_class(_name, models.IntegerField(default=0, db_default=0))
for _name in SUMS:
    Stretch.add_to_class(_name, models.BigIntegerField(default=0, db_default=0))


class IntegrationFigures(Stretch):
    """Figures of one integration; they go with it. Settling writes the minutes."""

    integration = models.ForeignKey(
        TenantIntegration, on_delete=models.CASCADE, related_name="figures", db_constraint=False, db_index=False
    )

    class Meta(Stretch.Meta):
        constraints = [
            models.UniqueConstraint(fields=["integration", "resolution", "start"], name="figures_of_integration")
        ]
        indexes = [models.Index(fields=["resolution", "start"], name="figures_by_time")]


class TenantFigures(Stretch):
    """Figures of one tenant; they go with it."""

    tenant = TenantKey(db_constraint=False, db_index=False, related_name="+")

    class Meta(Stretch.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "resolution", "start"], name="figures_of_tenant")]
        indexes = [models.Index(fields=["resolution", "start"], name="tenant_figures_by_time")]


class TotalFigures(Stretch):
    """Figures of all tenants."""

    class Meta(Stretch.Meta):
        constraints = [models.UniqueConstraint(fields=["resolution", "start"], name="figures_of_all")]


class RollUp(models.Model):
    """Up to which minute figures have been summed up: ``tenants`` (with the whole), ``hours``, ``days``."""

    name = models.CharField(max_length=10, primary_key=True)
    until = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.name} until {self.until}"
