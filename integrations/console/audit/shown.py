"""An entry of the audit trail in words: what was changed from what to what, and where its object is now."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from integrations.audit.trail import CHANGED, CREATED, AuditEntry
from integrations.audit.watch import PAYLOAD, SUBSCRIPTION, VERSION
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.keyset import keys_of
from integrations.jobs.models import Job
from integrations.outbox.models import IntegrationSync
from integrations.pages.display import NOTHING

SHORT = 60  # characters of a value in the list
FIRST = 2  # changes that the list names
_GROUPS = {
    "credentials.": gettext_noop("credential"),
    "headers.": gettext_noop("header"),
    "config.": gettext_noop("setting"),
}
_HOST = "webhook_url (host)"
_NAMES = {
    "webhook_url": gettext_lazy("address"),
    _HOST: gettext_lazy("address"),
    "credentials.signing_keys": gettext_lazy("signing secret"),
}
_SOURCES = {
    "form": gettext_lazy("by form"),
    "console": gettext_lazy("in the console"),
    "api": gettext_lazy("by the API"),
    "command": gettext_lazy("by a command"),
    "task": gettext_lazy("by a task"),
    "system": "",
}


_PLURALS = {gettext_noop("deliveries"), gettext_noop("webhooks"), gettext_noop("pulls")}
# What details are called.
_DETAILS = (
    gettext_noop("result"),
    gettext_noop("event type"),
    gettext_noop("reason"),
    gettext_noop("numbers"),
    gettext_noop("filter"),
)
_WORDS = {
    TenantIntegration._meta.label_lower: gettext_lazy("integration"),
    IntegrationSync._meta.label_lower: gettext_lazy("delivery"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was changed, for people.

    Attributes:
        old, new: "" of a secret, of which only `is_secret` is said.
        is_first: of something new, so that there was nothing before.
    """

    name: str
    old: str = ""
    new: str = ""
    is_secret: bool = False
    is_first: bool = False  # of something new: there was nothing before

    @property
    def short(self) -> tuple[str, str]:
        return _cut(self.old), _cut(self.new)


def put_in_words(access: Access, entries: Iterable[AuditEntry]) -> None:
    """Set on each entry what templates show: its changes, details and source in words, and the page of its object.

    One query for each kind of object.
    """
    found = list(entries)
    urls = _urls(access, found)
    for each in found:
        entry: Any = each
        entry.said = changes_of(each)
        entry.first, entry.more = entry.said[:FIRST], max(0, len(entry.said) - FIRST)
        entry.verb = _(each.action)
        entry.also = [(_(name.replace("_", " ")), _value(value)) for name, value in _details(each)]
        entry.what = each.object_name or _many(each)
        entry.by = _SOURCES.get(each.source, each.source)
        entry.kind = _kind(each.object_type)
        entry.is_own = each.object_type == TenantIntegration._meta.label_lower
        entry.url = urls.get((each.object_type, each.object_key), "")


def changes_of(entry: AuditEntry) -> list[Change]:
    """Return what was changed: what may be shown first, then secrets."""
    shown, secrets = [], []
    for name, change in entry.changes.items():
        word = _name(entry.object_type, name)
        if isinstance(change, list) and len(change) == 2:
            say = _condition if name.startswith(SUBSCRIPTION) else _value
            shown.append(Change(word, say(change[0]), say(change[1]), is_first=entry.action == CREATED))
        elif change == CHANGED and not (name == "webhook_url" and _HOST in entry.changes):
            secrets.append(Change(word, is_secret=True))
    return shown + secrets


def _many(entry: AuditEntry) -> str:
    """Say of how many rows an entry about several tells: "340 deliveries"."""
    for name in _PLURALS & entry.details.keys():
        return f"{entry.details[name]} {_(name)}"
    return ""


def _details(entry: AuditEntry) -> list[tuple[str, Any]]:
    said = dict(entry.details)
    if _PLURALS & said.keys() and "first" in said and "last" in said:
        said = {"numbers": f"{said.pop('first')} to {said.pop('last')}", **said}
        if not entry.object_name:
            said = {name: value for name, value in said.items() if name not in _PLURALS}
    return list(said.items())


def _name(object_type: str, name: str) -> str:
    if name in _NAMES:
        return str(_NAMES[name])
    if name.startswith((SUBSCRIPTION, PAYLOAD, VERSION)):
        return name
    for start, word in _GROUPS.items():
        if name.startswith(start):
            return f"{_(word)} {name.removeprefix(start)}"
    try:
        return _(str(apps.get_model(object_type)._meta.get_field(name).verbose_name))
    except (LookupError, ValueError, FieldDoesNotExist, AttributeError):
        return _(name.replace("_", " "))


def _kind(object_type: str) -> str:
    if object_type in _WORDS:
        return str(_WORDS[object_type])
    try:
        return _(str(apps.get_model(object_type)._meta.verbose_name))
    except (LookupError, ValueError):
        return object_type


def _condition(value: Any) -> str:
    return _("not subscribed") if value is None else _("always") if value == "" else str(value)


def _value(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_value(each)}" for name, each in value.items())
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _urls(access: Access, entries: list[AuditEntry]) -> dict[tuple[str, str], str]:
    """Return the pages of those objects that are still there, and that this person may see."""
    keys: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        keys[entry.object_type].add(entry.object_key)
    urls: dict[tuple[str, str], str] = {}
    for model, path, page in (
        (TenantIntegration, "tenant", "integration"),
        (IntegrationSync, "integration__tenant", "delivery"),
        (Job, "tenant", "job"),
    ):
        label = model._meta.label_lower
        wanted = keys_of(keys.get(label, ()))
        if not wanted:
            continue
        rows: Any = access.visible(model._base_manager.filter(pk__in=wanted), path)
        name = "public_id" if model is TenantIntegration else "pk"
        for pk, key in rows.values_list("pk", name):
            urls[label, str(pk)] = reverse(f"console:{page}", args=[key])
    return urls
