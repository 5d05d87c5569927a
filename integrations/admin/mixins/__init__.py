"""For a host's own models: mix one into the ModelAdmin of a model that is derived from our abstract base.

    @admin.register(Connection)
    class ConnectionAdmin(ConnectionAdminMixin, admin.ModelAdmin):
        pass

They know no tenants: who sees which rows is said by the host's ``get_queryset``, and everything here starts from it,
filters and actions included.
"""

from .connection import ConnectionAdminMixin
from .execution_log import ExecutionLogAdminMixin
from .sync_state import SyncStateAdminMixin
from .webhook_event import WebhookEventAdminMixin

__all__ = ["ConnectionAdminMixin", "ExecutionLogAdminMixin", "SyncStateAdminMixin", "WebhookEventAdminMixin"]
