"""Tags of the console's templates: symbols, times, states, charts, and links to pages that may be absent."""

from __future__ import annotations

import re
from typing import Any

from django import template
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString, mark_safe

from integrations.connectors.gallery import logo_of
from integrations.connectors.manifest import Manifest
from integrations.console.access import RoleNeeded
from integrations.console.workbench.bench import Bench
from integrations.forms.choice import connector_of
from integrations.pages.admin_pages import admin_address
from integrations.pages.display import Badge, exact, lasting, short, when
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.tenant import name_of

register = template.Library()
# Symbols: lines on a field of 24 by 24, in the colour of the text.
ICONS: dict[str, str] = {
    "logo": '<path d="M4 12h5m6 0h5M12 4v5m0 6v5"/><circle cx="12" cy="12" r="3"/>',
    "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "overview": '<path d="M4 19V9m5 10V5m5 14v-7m5 7V8"/>',
    "integrations": '<path d="M9 7V3m6 4V3M7 7h10v4a5 5 0 0 1-10 0zM12 16v5"/>',
    "deliveries": '<path d="M3 12h14m-5-6 6 6-6 6M21 5v14"/>',
    "events": '<path d="M13 3 5 14h6l-1 7 8-11h-6z"/>',
    "catalogue": '<path d="M5 4h11a3 3 0 0 1 3 3v13H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h11M9 8h6"/>',
    "jobs": '<path d="M4 12a8 8 0 0 1 14-5l2 2M20 12a8 8 0 0 1-14 5l-2-2M20 4v5h-5M4 20v-5h5"/>',
    "inbound": '<path d="M21 12H7m5 6-6-6 6-6M3 5v14"/>',
    "pulls": '<path d="M12 3v12m-5-5 5 5 5-5M4 20h16"/>',
    "pushes": '<path d="M12 16V4m-5 5 5-5 5 5M4 20h16"/>',
    "people": '<circle cx="9" cy="8" r="3.5"/><path d="M3 20c0-4 3-6 6-6s6 2 6 6M16 5a3.5 3.5 0 0 1 0 6.5M18 14c2 1 3 3 3 6"/>',  # noqa: E501
    "keys": '<circle cx="8" cy="15" r="4"/><path d="m11 12 9-9m-4 4 3 3"/>',
    "audit": '<path d="M6 3h9l4 4v14H6zM9 12h7M9 16h7M9 8h3"/>',
    "system": '<path d="M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.01M8 16.5h.01"/>',
    "lock": '<path d="M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3"/>',
    "search": '<circle cx="11" cy="11" r="6"/><path d="m20 20-4.5-4.5"/>',
    "copy": '<path d="M9 9h11v11H9zM5 15H4V4h11v1"/>',
    "check": '<path d="m5 12 5 5 9-10"/>',
    "cross": '<path d="M6 6l12 12M18 6 6 18"/>',
    "clock": '<circle cx="12" cy="12" r="8"/><path d="M12 8v4l3 2"/>',
    "person": '<circle cx="12" cy="8" r="4"/><path d="M5 20c0-4 3-6 7-6s7 2 7 6"/>',
    "note": '<path d="M5 4h14v11l-5 5H5zM14 20v-5h5"/>',
    "pause": '<path d="M8 5v14M16 5v14"/>',
    "play": '<path d="M7 5v14l11-7z"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "trash": '<path d="M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13"/>',
    "external": '<path d="M10 5H5v14h14v-5M14 4h6v6M20 4l-9 9"/>',
    "skip": '<circle cx="12" cy="12" r="8"/><path d="m6.5 6.5 11 11"/>',
    "warning": '<path d="M12 4 3 19h18zM12 10v4M12 16.5v.01"/>',
}
_ENDS = re.compile(r"[^._]*[._]|[^._]+")  # parts of a field's name
register.filter("when", when)
register.filter("lasting", lasting)
register.filter("exact", exact)
register.filter("short", short)
register.filter("tenant_name", name_of)


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw the symbol of this name; it says nothing that the words beside it do not."""
    shapes = mark_safe(ICONS[name])  # noqa: S308 - a constant of ours
    return format_html('<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{}</svg>', shapes)


@register.simple_tag
def connector_logo(connector: Manifest | str) -> SafeString:
    """Draw the logo of a connector type, given its manifest or its key; a plug for one that is not installed."""
    known = connector_of(connector) if isinstance(connector, str) else None
    manifest = connector if isinstance(connector, Manifest) else known.manifest if known is not None else None
    logo = logo_of(manifest)
    return format_html(
        '<svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" fill="{}"/>'
        '<path transform="translate(5.2 5.2) scale(.9)" d="{}" fill="none" stroke="#fff" stroke-width="1.9" '
        'stroke-linecap="round" stroke-linejoin="round"/></svg>',
        logo.colour,
        logo.path,
    )


@register.simple_tag
def page_of(name: str, *args: Any, **kwargs: Any) -> str:
    """Return the address of a page of the console, "" if it is not installed: ``{% page_of "audit" as url %}``."""
    try:
        return reverse(f"console:{name}", args=args, kwargs=kwargs)
    except NoReverseMatch:
        return ""


@register.inclusion_tag("integrations/console/parts/needs.html", takes_context=True)
def needs(context: Context, capability: Capability, of: Bench | Any = None) -> dict[str, Any]:
    """Say why a button is missing, in the words of the refusal, and who can help; nothing to who may do it.

    Args:
        of: the tenant for which it is to be done, or the workbench of one integration; None: the tenant that is
            looked at, or any of several.
    """
    access, error = context["access"], None
    if isinstance(of, Bench):
        error = of.refusal(capability)
    elif not (access.may(capability, of.pk) if of else access.may_here(capability)):
        error = RoleNeeded(capability, access.role, of)
    url = reverse("console:people")
    people = f"{url}?tenant={(of.integration.tenant if isinstance(of, Bench) else of).pk}" if of else url
    return {"error": error, "people": "" if context["request"].path == url else people}


@register.simple_tag
def admin_url(name: str = "index", *args: Any) -> str:
    """Return the address of an admin page, "" if the project has no admin."""
    return admin_address(name, *args)


@register.filter
def dotted(path: str) -> SafeString:
    """Let the name of a field break behind its dots and underscores, and nowhere else."""
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in _ENDS.findall(path)))


@register.filter
def coded(text: str) -> SafeString:
    """Show what stands in backticks as code."""
    parts = enumerate(str(text).split("`"))
    return format_html_join("", "{}", ((format_html("<code>{}</code>", part) if n % 2 else part,) for n, part in parts))


@register.filter
def badge(state: Badge) -> SafeString:
    """Show a state: its symbol, its word and a colour."""
    return format_html('<span class="badge {}" title="{}">{}</span>', state.kind, state.hint, state.label)


@register.simple_tag
def chart(name: str, data: Any, label: str) -> SafeString:
    """Draw a chart.

    Args:
        name: unique on the page.
        data: ``{"times": [seconds since 1970], "series": [{"label": "Delivered", "kind": "ok", "values": [1, None],
            "fill": True}]}``; kind: ok, warn, bad, off or accent; fill: colour the area below.
        label: what it shows, for people who hear the page.
    """
    return format_html(
        '<div class="chart" data-chart="{}" role="img" aria-label="{}" hx-morph-skip-children></div>{}',
        f"chart-{name}",
        label,
        json_script(data, f"chart-{name}"),
    )


@register.simple_tag
def sparkline(values: list[int | float | None], label: str, bad: list[int | float | None] | None = None) -> SafeString:
    """Draw bars of one word's size: `values` oldest first, and in red the part of each that is `bad`."""
    known = [value or 0 for value in values]
    if not known:
        return SafeString("")
    top, step = max([*known, 1]), 100 / len(known)
    wrong = [value or 0 for value in bad] if bad is not None else [0] * len(known)
    bars = []
    for index, (value, failed) in enumerate(zip(known, wrong, strict=True)):
        bars.append(_bar("ok", index * step, step * 0.8, max(24 * value / top, 1.5 if value else 0.5)))
        if failed:
            bars.append(_bar("bad", index * step, step * 0.8, max(24 * min(failed, value) / top, 1.5)))
    return format_html(
        '<svg class="sparkline" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        label,
        mark_safe("".join(bars)),  # noqa: S308 - numbers and words of ours
    )


def _bar(kind: str, x: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.2f}" y="{24 - height:.2f}" width="{width:.2f}" height="{height:.2f}"/>'
