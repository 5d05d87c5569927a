"""Connect the parts of the library when Django starts."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate, post_save, pre_delete

SCHEDULE = ("PeriodicTask", "IntervalSchedule", "CrontabSchedule", "SolarSchedule", "ClockedSchedule")


class IntegrationsConfig(AppConfig):
    """The outbox: capture, delivery, and what tenants configure."""

    name = "integrations"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Integrations"

    def ready(self) -> None:
        from django.contrib.auth.models import Group, Permission
        from django.contrib.contenttypes.models import ContentType

        from integrations.database.tables import has_tables
        from integrations.tenancy.deletion import batch_begins, deletion_begins

        from . import checks, conf, signals  # noqa: F401 - checks register themselves
        from .alerts.event_types import register as register_alerts
        from .audit import watch, watch_people
        from .capture.discovery import discover
        from .connections.abstract import share_gates
        from .connections.access import ensure_groups, ensure_permissions
        from .connections.models import TenantIntegration
        from .credentials.checks import refuse_unusable_keys, register_checks
        from .delivery import run_slot, watchdog  # noqa: F401 - listen to Celery
        from .delivery.call_gate import gate_of
        from .delivery.deletion import delete_with_tenants, hint_on_commit
        from .delivery.lanes import close_lanes, hold_lane, hold_lanes, make_lane
        from .delivery.schedule import ensure_schedule
        from .erp.connection import ERPConnection
        from .metrics import worker  # noqa: F401 - listens to Celery
        from .metrics.view import networks as networks_of_metrics
        from .observability import processes  # noqa: F401 - listens to Celery, and to Django's requests
        from .tenancy.tenant import tenant_model
        from .transport.guard.policy import AddressPolicy

        conf.refuse_problems()
        AddressPolicy.from_conf()  # raises for what it cannot read
        networks_of_metrics()  # raises for what is no subnet
        refuse_unusable_keys()
        register_checks()
        share_gates(gate_of)
        signals.connect_all()
        discover()
        register_alerts()
        for model in (TenantIntegration, ERPConnection):  # signals name the proxy, not its model
            post_save.connect(make_lane, sender=model, dispatch_uid=f"make-lane of {model.__name__}")
            pre_delete.connect(hold_lane, sender=model, dispatch_uid=f"hold-lane of {model.__name__}")
        for owner in (TenantIntegration, tenant_model()):
            deletion_begins.connect(close_lanes, sender=owner, dispatch_uid=f"close-lanes of {owner.__name__}")
            deletion_begins.connect(
                watch.note_deletion, sender=owner, dispatch_uid=f"note deletion of {owner.__name__}"
            )
            deletion_begins.connect(hint_on_commit, sender=owner, dispatch_uid=f"delete {owner.__name__}")
        self._watch(watch, watch_people)
        delete_with_tenants()
        batch_begins.connect(hold_lanes, sender=TenantIntegration, dispatch_uid="hold-lanes")

        def schedule(using: str, **_: Any) -> None:
            if not has_tables(using, TenantIntegration, ContentType, Permission, Group):
                return  # another database than ours, or another app's migrations alone
            ensure_schedule(using)
            ensure_permissions(using)
            ensure_groups(self, using)

        post_migrate.connect(schedule, sender=self, dispatch_uid="schedule", weak=False)

    def _watch(self, watch: Any, watch_people: Any) -> None:
        """Have the audit trail written for what people configure, a host's own models included."""
        from django.apps import apps

        from .configuration.models import AbstractConfiguration
        from .connections.abstract import AbstractConnection
        from .connections.models import TenantIntegration
        from .pull.models import AbstractSyncState
        from .tenancy.people import membership_model

        models = [model for model in apps.get_models() if issubclass(model, AbstractConnection | AbstractConfiguration)]
        watch.watch(*models)
        watch.watch_deletions(*(model for model in models if not issubclass(model, TenantIntegration)))
        watch.watch_subscriptions()
        watch.watch_disabling()
        pulls = [model for model in apps.get_models() if issubclass(model, AbstractSyncState)]
        written_by_workers = {field.name for field in AbstractSyncState._meta.get_fields()} - {"resource_type"}
        watch.watch(*pulls, ignored={*written_by_workers, "connection"})
        watch.watch_deletions(*pulls)
        if apps.is_installed("django_celery_beat"):
            schedule = [apps.get_model("django_celery_beat", name) for name in SCHEDULE]
            watch.watch(*schedule, ignored={"last_run_at", "total_run_count", "date_changed"}, only_changes=True)
            watch.watch_deletions(*schedule)
        watch_people.watch_permissions()
        if (memberships := membership_model()) is not None:
            watch_people.watch_memberships(memberships)
