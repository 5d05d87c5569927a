"""The admin pages of the outbox, a folder each; importing this package registers those that the project wants.

    INTEGRATIONS_ADMIN_PAGES = ["integration", "sync", "log"]   without this setting: all

People work in the console (console/), where these pages lead; here rows are listed, and forms are filled in.

integration/      Tenant integrations: list and form; the workbench in the console tests, pauses and deletes
sync/             Integration syncs: a list to read, each row with a link to its story; "Deliveries" on an object's page
inbound/          Inbound webhooks: what providers told us, process again, replay; "Calling back" of a host's connection
pull/             Pulls: how far, when next, pull now, start over; "Pulls" on the page of what can be read
log/              Execution log
system/           GitHub, Weaviate, Microsoft Graph, OpenAI and Gemini for the whole installation
api_keys/         API keys: look and revoke; they are made in the console

lists/            filters, counting that stops, pages of what happened
pages/            buttons, links, and what may be told on the page of one object
tenancy/          the base of pages whose rows belong to a tenant
widgets/          how a secret looks in JSON, style sheet and script

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

PAGES = ("integration", "sync", "inbound", "pull", "log", "system", "api_keys")


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
        import_module(f"{__name__}.{page}.admin")


register_pages()
