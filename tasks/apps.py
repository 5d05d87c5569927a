from django.apps import AppConfig


class TasksConfig(AppConfig):
    """The business: work items and what belongs to them."""

    name = "tasks"
    default_auto_field = "django.db.models.BigAutoField"
