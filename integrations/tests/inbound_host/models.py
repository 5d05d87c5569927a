"""As the quick start of seeds/000 has them."""

from django.db import models

from integrations.models import AbstractConnection, AbstractWebhookEvent


class Company(models.Model):
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Connection(AbstractConnection):
    company = models.ForeignKey(Company, on_delete=models.CASCADE, related_name="connections")


class WebhookEvent(AbstractWebhookEvent):
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, null=True, related_name="webhook_events")
