from django.apps import AppConfig


class TasksConfig(AppConfig):
    """The business: work items and what belongs to them."""

    name = "tasks"
