"""The business object whose changes are events."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from tenants.models import TenantOwned

from .customer import Customer, CustomerAsset
from .dropoff_point import DropoffPoint


class WorkItem(TenantOwned):
    """A piece of work for a customer, such as a repair."""

    class Status(models.TextChoices):
        NEW = "new", "New"
        IN_PROGRESS = "in_progress", "In Progress"
        WAITING = "waiting", "Waiting"
        COMPLETED = "completed", "Completed"
        CANCELLED = "cancelled", "Cancelled"

    class Type(models.TextChoices):
        CHARGEABLE_REPAIR = "chargeable_repair", "Chargeable Repair"
        WARRANTY_REPAIR = "warranty_repair", "Warranty Repair"
        DIAGNOSTIC = "diagnostic", "Diagnostic"

    class Priority(models.TextChoices):
        LOW = "low", "Low"
        STANDARD = "standard", "Standard"
        HIGH = "high", "High"
        URGENT = "urgent", "Urgent"

    class IntakeMethod(models.TextChoices):
        WALK_IN = "walk_in", "Walk-in"
        MAIL_IN = "mail_in", "Mail-in"
        PICKUP = "pickup", "Pickup"
        ONLINE = "online", "Online"

    reference_id = models.CharField(max_length=50)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.NEW)
    type = models.CharField(max_length=30, choices=Type.choices, default=Type.CHARGEABLE_REPAIR)
    priority = models.CharField(max_length=20, choices=Priority.choices, default=Priority.STANDARD)
    created_date = models.DateTimeField(default=timezone.now)
    due_date = models.DateTimeField(null=True, blank=True)
    customer = models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, blank=True)
    customer_asset = models.ForeignKey(CustomerAsset, on_delete=models.SET_NULL, null=True, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="owned_work_items"
    )
    technician = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="assigned_work_items"
    )
    estimated_price = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    final_price = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    dropoff_point = models.ForeignKey(DropoffPoint, on_delete=models.SET_NULL, null=True, blank=True)
    intake_method = models.CharField(max_length=20, choices=IntakeMethod.choices, default=IntakeMethod.WALK_IN)
    comments = models.TextField(blank=True)

    class Meta(TenantOwned.Meta):
        ordering = ["-id"]
        verbose_name = "work item"

    def __str__(self) -> str:
        return self.reference_id
