from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Who owns what."""

    name = "tenants"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the audit trail say who renames a tenant; of deletions it tells by itself."""
        from integrations.audit.watch import watch

        from .models import Tenant

        watch(Tenant, only_changes=True, ignored={"deleting_since", "deleting_rows_left"})
