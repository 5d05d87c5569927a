"""``{% page_url "tenantintegration" "change" integration.pk %}``: the address of an admin page of ours."""

from typing import Any

from django import template

from integrations.admin.pages.links import page_url, sees
from integrations.label import app_label

register = template.Library()
register.simple_tag(page_url)
register.simple_tag(app_label, name="integrations_label")


@register.simple_tag(takes_context=True)
def page_url_for_user(context: Any, model_name: str, view: str, pk: Any = None) -> str:
    """Return the same, "" if whoever reads the page may not open that one."""
    return page_url(model_name, view, pk) if sees(context["request"].user, model_name) else ""
