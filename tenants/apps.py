from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Who owns what."""

    name = "tenants"
    default_auto_field = "django.db.models.BigAutoField"
