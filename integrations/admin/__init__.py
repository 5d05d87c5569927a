"""The admin pages of the outbox; importing a module here registers its pages.

integration_admin   Tenant Integrations: list, form, status, buttons, the secret that is shown once
sync_admin          Integration Syncs: list, detail with every attempt, retry and cancel
inbound_admin       Inbound webhooks: what providers told us, process again
pull_admin          Pulls: how far, when next, pull now, start over
log_admin           Execution log
push_admin          ERP push log
system_admin        GitHub, Weaviate, Microsoft Graph, OpenAI and Gemini for the whole installation
deliveries_panel    "Deliveries" on the page of every object that has events
inbound_panel       "Calling back" on the page of an integration: what to paste there, and what came
pulls_panel         "Pulls" on the page of an integration
mixins              the same for a host's own models (docs/your-own-models.md)
"""

from . import (
    deliveries_panel,
    inbound_admin,
    inbound_panel,
    integration_admin,
    log_admin,
    pull_admin,
    pulls_panel,
    push_admin,
    sync_admin,
    system_admin,
)
from .mixins import ConnectionAdminMixin, ExecutionLogAdminMixin, SyncStateAdminMixin, WebhookEventAdminMixin

__all__ = [
    "ConnectionAdminMixin",
    "ExecutionLogAdminMixin",
    "SyncStateAdminMixin",
    "WebhookEventAdminMixin",
    "deliveries_panel",
    "inbound_admin",
    "inbound_panel",
    "integration_admin",
    "log_admin",
    "pull_admin",
    "pulls_panel",
    "push_admin",
    "sync_admin",
    "system_admin",
]
