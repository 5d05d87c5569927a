from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Who owns what."""

    name = "tenants"
