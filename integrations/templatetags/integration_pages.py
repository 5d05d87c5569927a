"""``{% page_url "tenantintegration" "change" integration.pk %}``: the address of an admin page of ours."""

from django import template

from integrations.admin.pages.links import page_url
from integrations.label import app_label

register = template.Library()
register.simple_tag(page_url)
register.simple_tag(app_label, name="integrations_label")
