"""Signs of life."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """When something last happened, by the database's clock: ``worker``, ``beat``, or the name of a periodic task."""

    name = models.CharField(max_length=50, primary_key=True)
    beaten_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.beaten_at:%F %T}"


class ProcessHeartbeat(models.Model):
    """One process of ours and when it was last seen, by the database's clock.

    Attributes:
        name: ``<kind>@<host>:<pid>``.
        kind: ``web``, ``worker`` or ``beat``.
        queues: those that a worker consumes, with commas between.
        skew_seconds: how far its machine's clock is ahead of the database's.
    """

    name = models.CharField(max_length=200, primary_key=True)
    kind = models.CharField(max_length=20)
    host = models.CharField(max_length=150)
    pid = models.PositiveIntegerField()
    queues = models.CharField(max_length=500, blank=True)
    skew_seconds = models.FloatField(default=0.0)
    beaten_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
