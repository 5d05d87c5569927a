"""What may be saved but deserves a word: never a reason to refuse, never quoting a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from django.utils.translation import gettext as _

from integrations.connections.models import TenantIntegration
from integrations.connectors.config_check import doubts
from integrations.connectors.manifest import HEADERS, URL

from .choice import calls_back
from .fields import form_name
from .settings_form import SettingsForm

_TOKEN_NAME = re.compile(r"token|secret|key|pass|pwd|auth|sig|code|credential|access", re.IGNORECASE)
_TOKEN_VALUE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.~+/=-]{20,}", re.DOTALL)


def token_in_query(url: str) -> str:
    """Return the name of a query parameter that looks like a token, "" if there is none."""
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if value and _TOKEN_NAME.search(name):
            return name[:40]
        if _TOKEN_VALUE.fullmatch(value):
            return "a parameter"
    return ""


def about_url(url: str) -> Iterator[str]:
    """Yield what a person should know about the address that they have just entered."""
    parts = urlsplit(url)
    if "/webhook-test/" in parts.path:
        yield (
            _(
                "This is an n8n test URL: it works only once, while the n8n editor listens. Use the production "
                "URL (/webhook/…) and activate the workflow."
            )
        )
    if name := token_in_query(url):
        yield (
            _(
                "The address carries what looks like a token in its query ({name}). Addresses end up in the logs "
                "of servers and proxies: send the token as a header instead, if the destination allows it."
            ).format(name=name)
        )
    if parts.scheme == "http":
        yield _("The address is plain http: everybody on the way can read the events. Use https in production.")


def about(integration: TenantIntegration, form: SettingsForm) -> Iterator[str]:
    """Yield what a person should know about what was just saved."""
    if form.is_address_new:
        yield from about_url(str(form.settings.get(URL) or ""))
    manifest = form.connector.manifest if form.connector is not None else None
    if manifest is None or manifest.takes_events:
        if (manifest is None or "deliver" in manifest.does) and not integration.subscriptions.exists():
            yield _("No event type is ticked: nothing will be sent.")
        if not integration.is_active:
            yield _("The integration is not active: no event is queued for it until you tick Active.")
    if form.connector is None or manifest is None:
        return
    secret = manifest.field(manifest.inbound.secret_field) if manifest.inbound else None
    if calls_back(form.connector) and integration.inbound_actions and secret and not form.settings.get(secret.name):
        yield _("Nobody can call back until “{title}” is filled in: whatever comes is refused (401).").format(
            title=_(secret.title)
        )
    for name, question in doubts(manifest, form.settings, form.stored).items():
        where = form.fields[form_name(name)].label if form_name(name) in form.fields else name
        yield _("{where} {problem}: is that right? If not, type it again without.").format(
            where=where, problem=question.split(";")[0]
        )
    secrets = {name: form.settings.get(name) for name in manifest.secret_names}
    if manifest.signs and not integration.is_signed and not any([form.settings.get(HEADERS), *secrets.values()]):
        yield _(
            "Requests are neither signed nor authenticated: whoever learns the address can send false events to it."
        )
