"""What is told of integrations and workers (alerts/), and what was told, so that nobody is told twice."""

from __future__ import annotations

from django.db import models

from integrations.connections.models import TenantIntegration

FAILING = "integration_failing"
RECOVERED = "integration_recovered"
DISABLED = "integration_disabled"
GIVEN_UP = "sync_given_up"
BACKLOG = "backlog_old"
SILENT = "worker_silent"

LABELS = {
    FAILING: "Integration fails",
    RECOVERED: "Integration works again",
    DISABLED: "Integration disabled",
    GIVEN_UP: "Deliveries given up",
    BACKLOG: "Deliveries wait too long",
    SILENT: "Worker silent",
}
ALERTS = tuple(LABELS)


class Alert(models.Model):
    """One thing that is wrong, or was, with one integration or with the whole.

    Attributes:
        name: the event type.
        integration: None: the whole product is meant.
        is_open: it is wrong now.
        since: when it began.
        told_at: when people were told last; None: never.
        is_told: they know what is true now.
        counted_to: up to which minute since 1970 what was given up has been told.
    """

    name = models.CharField(max_length=50, choices=list(LABELS.items()))
    integration = models.ForeignKey(
        TenantIntegration,
        on_delete=models.CASCADE,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="alerts",
    )
    about = models.CharField(max_length=100, blank=True, default="")  # of the whole: which queue
    is_open = models.BooleanField(default=True)
    since = models.DateTimeField()
    told_at = models.DateTimeField(null=True, blank=True)
    is_told = models.BooleanField(default=False)
    counted_to = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["integration", "name", "about"], name="one_alert_of_integration"),
            models.UniqueConstraint(
                fields=["name", "about"], condition=models.Q(integration=None), name="one_alert_of_all"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.integration_id or self.about or 'all'}"
