"""What people and systems wrote on a work item."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from tenants.models import TenantOwned

from .work_item import WorkItem


class Note(TenantOwned):
    """A remark on a work item: by a person (`author` set) or by the system (`author` null)."""

    # Without a constraint in the database: writing "delivered" on an item must not wait for, or deadlock
    # with, a user's transaction that is just deleting the item. Django still cascades.
    work_item = models.ForeignKey(WorkItem, on_delete=models.CASCADE, related_name="notes", db_constraint=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantOwned.Meta):
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.text[:80]
