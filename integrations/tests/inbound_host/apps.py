from django.apps import AppConfig


class InboundHostConfig(AppConfig):
    name = "integrations.tests.inbound_host"
    label = "inboundhost"
    default_auto_field = "django.db.models.BigAutoField"
