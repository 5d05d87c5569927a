"""What is told of integrations and workers (alerts/), what was told, so that nobody is told twice, and what to mail."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_noop

from integrations.connections.models import TenantIntegration
from integrations.tenancy.key import TenantKey

FAILING = "integration_failing"
RECOVERED = "integration_recovered"
DISABLED = "integration_disabled"
GIVEN_UP = "sync_given_up"
BACKLOG = "backlog_old"
SILENT = "worker_silent"

LABELS = {
    FAILING: gettext_noop("Integration fails"),
    RECOVERED: gettext_noop("Integration works again"),
    DISABLED: gettext_noop("Integration disabled"),
    GIVEN_UP: gettext_noop("Deliveries given up"),
    BACKLOG: gettext_noop("Deliveries wait too long"),
    SILENT: gettext_noop("Worker silent"),
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
        is_quiet: only alerts failed there: it was told by mail, and not as an event.
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
    is_quiet = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["integration", "name", "about"], name="one_alert_of_integration"),
            models.UniqueConstraint(
                fields=["name", "about"], condition=models.Q(integration=None), name="one_alert_of_all"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.integration_id or self.about or 'all'}"


class AlertMail(models.Model):
    """One alert that is still to be mailed to a tenant's managers, or to operators; deleted when it was.

    Attributes:
        tenant: None: it goes to operators.
        title, text: what the mail says of it.
        made_at: when it was told as an event.
        next_try_at: when it is due; later while somebody sends it, and after a failure.
        to: the addresses that still lack it, after the mail server took it for others; None: it goes to everybody.
    """

    tenant = TenantKey(null=True, blank=True, db_constraint=False, db_index=False, related_name="+")
    title = models.CharField(max_length=300)
    text = models.TextField()
    made_at = models.DateTimeField()
    next_try_at = models.DateTimeField(db_index=True)
    to = models.JSONField(null=True, blank=True, default=None)

    def __str__(self) -> str:
        return self.title


class AlertMute(models.Model):
    """A manager of a tenant who wants none of its alerts by mail. `user_key` is the account's key as text."""

    tenant = TenantKey(db_constraint=False, db_index=False, related_name="+")
    user_key = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user_key"], name="one_mute_of_alerts")]

    def __str__(self) -> str:
        return f"no alerts of tenant {self.tenant_id} for {self.user_key}"
