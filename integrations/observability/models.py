"""Signs of life."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """When a kind of process was last seen alive: ``worker``, ``beat``."""

    name = models.CharField(max_length=50, primary_key=True)
    beaten_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.beaten_at:%F %T}"
