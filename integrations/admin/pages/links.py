"""Links to pages of ours, which a project may have left out, or given another label."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from integrations.label import app_label, permission
from integrations.pages.display import NOTHING


def page_name(model_name: str, view: str) -> str:
    """Return the name of an admin page of ours, as ``integrations_integrationsync_change``."""
    return f"{app_label()}_{model_name}_{view}"


def page_url(model_name: str, view: str, pk: Any = None) -> str:
    """Return the address of an admin page of ours, "" if the project has no such page."""
    try:
        return reverse(f"admin:{page_name(model_name, view)}", args=[] if pk is None else [quote(pk)])
    except NoReverseMatch:
        return ""


def console_url(name: str, *args: Any) -> str:
    """Return the address of a page of the console, "" if the project has no console."""
    try:
        return reverse(f"console:{name}", args=args)
    except NoReverseMatch:
        return ""


def sees(user: Any, model_name: str) -> bool:
    """Tell whether `user` may open the admin pages of a model of ours; nobody is led to a refusal."""
    return any(user.has_perm(permission(action, model_name)) for action in ("view", "change"))


def link(text: Any, url: str, title: str = "") -> Any:
    """Return `text` as a link; the text alone where there is no page to link to."""
    if not url:
        return text
    return format_html('<a href="{}"{}>{}</a>', url, format_html(' title="{}"', title) if title else "", text)


def link_to_integration(integration: Any) -> Any:
    """Return a link to the page of `integration`, a dash for None."""
    if integration is None:
        return NOTHING
    return link(integration, page_url("tenantintegration", "change", integration.pk))
