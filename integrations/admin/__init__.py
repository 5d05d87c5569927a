"""The admin pages of the outbox, a folder each; importing this package registers them.

integration/      Tenant Integrations: list, form, status, buttons, the secret that is shown once
connector_form/   the part of a form that the chosen connector decides, from its manifest
sync/             Integration Syncs: list, every attempt, retry and cancel; "Deliveries" on the page of an object
inbound/          Inbound webhooks: what providers told us, process again; "Calling back" on an integration's page
pull/             Pulls: how far, when next, pull now, start over; "Pulls" on an integration's page
log/              Execution log
push/             ERP push log
system/           GitHub, Weaviate, Microsoft Graph, OpenAI and Gemini for the whole installation

lists/            filters, counting that stops, actions on chosen rows
pages/            buttons, links, and what may be told on the page of one object
widgets/          how a state, a time or a secret looks

``admin.py`` in a folder is our page; ``mixin.py`` is the same page for a host's own model (docs/your-own-models.md).
"""

from .inbound import admin as inbound_admin
from .inbound import panel as inbound_panel
from .inbound.mixin import WebhookEventAdminMixin
from .integration import admin as integration_admin
from .integration.mixin import ConnectionAdminMixin
from .log import admin as log_admin
from .log.mixin import ExecutionLogAdminMixin
from .pull import admin as pull_admin
from .pull import panel as pull_panel
from .pull.mixin import SyncStateAdminMixin
from .push import admin as push_admin
from .sync import admin as sync_admin
from .sync import panel as sync_panel
from .system import admin as system_admin

__all__ = [
    "ConnectionAdminMixin",
    "ExecutionLogAdminMixin",
    "SyncStateAdminMixin",
    "WebhookEventAdminMixin",
    "inbound_admin",
    "inbound_panel",
    "integration_admin",
    "log_admin",
    "pull_admin",
    "pull_panel",
    "push_admin",
    "sync_admin",
    "sync_panel",
    "system_admin",
]
