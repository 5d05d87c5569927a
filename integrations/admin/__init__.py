"""The admin pages of the outbox, a folder each; importing this package registers those that the project wants.

    INTEGRATIONS_ADMIN_PAGES = ["integration", "sync", "log"]   without this setting: all

integration/      Tenant Integrations: list, form, status, buttons, the secret that is shown once
sync/             Integration Syncs: list, every attempt, retry and cancel; "Deliveries" on the page of an object
inbound/          Inbound webhooks: what providers told us, process again; "Calling back" on an integration's page
pull/             Pulls: how far, when next, pull now, start over; "Pulls" on an integration's page
log/              Execution log
system/           GitHub, Weaviate, Microsoft Graph, OpenAI and Gemini for the whole installation
api_keys/         API keys: look and revoke; they are made in the console

lists/            filters, counting that stops, actions on chosen rows
pages/            buttons, links, and what may be told on the page of one object
widgets/          how a state, a time or a secret looks

``admin.py`` in a folder is our page; ``mixin.py`` is the same page for a host's own model (docs/your-own-models.md).
"""

from importlib import import_module

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from integrations.tenancy.tenant import tenant_model

tenant_model()  # raises before the forms below do, which cannot say which setting is wrong

from .inbound.mixin import WebhookEventAdminMixin  # noqa: E402
from .integration.mixin import ConnectionAdminMixin  # noqa: E402
from .log.mixin import ExecutionLogAdminMixin  # noqa: E402
from .pull.mixin import SyncStateAdminMixin  # noqa: E402

__all__ = [
    "ConnectionAdminMixin",
    "ExecutionLogAdminMixin",
    "SyncStateAdminMixin",
    "WebhookEventAdminMixin",
]

PAGES = {
    "integration": ("admin",),
    "sync": ("admin", "panel"),
    "inbound": ("admin",),
    "pull": ("admin", "panel"),
    "log": ("admin",),
    "system": ("admin",),
    "api_keys": ("admin",),
}


def register_pages() -> None:
    """Register the pages that ``INTEGRATIONS_ADMIN_PAGES`` names; without that setting all of them.

    Raises:
        ImproperlyConfigured: a name that no page has.
    """
    chosen = getattr(settings, "INTEGRATIONS_ADMIN_PAGES", PAGES)
    if unknown := [name for name in chosen if name not in PAGES]:
        raise ImproperlyConfigured(
            f"INTEGRATIONS_ADMIN_PAGES: there is no page {unknown[0]!r}; there are {', '.join(PAGES)}."
        )
    for page in chosen:
        for module in PAGES[page]:
            import_module(f"{__name__}.{page}.{module}")


register_pages()
