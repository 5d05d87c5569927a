"""A ticket: the columns of a work item without its relations."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Ticket(models.Model):
    """What the peers send when it is saved."""

    reference_id = models.CharField(max_length=50)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=20, default="new")
    type = models.CharField(max_length=30, default="chargeable_repair")
    priority = models.CharField(max_length=20, default="standard")
    created_date = models.DateTimeField(default=timezone.now)
    due_date = models.DateTimeField(null=True, blank=True)
    estimated_price = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    final_price = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    intake_method = models.CharField(max_length=20, default="walk_in")
    comments = models.TextField(blank=True)

    class Meta:
        app_label = "bench_peers"

    def __str__(self) -> str:
        return self.reference_id
