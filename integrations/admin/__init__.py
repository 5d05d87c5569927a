"""The admin pages of the outbox; importing a module here registers its pages.

integration_admin   Tenant Integrations: list, form, status, buttons, the secret that is shown once
sync_admin          Integration Syncs: list, detail with every attempt, retry and cancel
log_admin           Execution log
push_admin          ERP push log
system_admin        GitHub, Weaviate, Microsoft Graph, OpenAI and Gemini for the whole installation
deliveries_panel    "Deliveries" on the page of every object that has events
"""

from . import deliveries_panel, integration_admin, log_admin, push_admin, sync_admin, system_admin

__all__ = ["deliveries_panel", "integration_admin", "log_admin", "push_admin", "sync_admin", "system_admin"]
