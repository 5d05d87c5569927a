"""How connector types look in a list to choose from: category, logo, what one needs.

All of it comes from the manifest; what a host's own connector does not say is said for its family.
"""

from __future__ import annotations

from django.utils.translation import gettext, gettext_noop

from .manifest import Logo, Manifest

# Family → its heading, in the order of a gallery; others come after them, by name.
CATEGORIES: dict[str, str] = {
    "webhook": gettext_noop("Webhooks and automation"),
    "chat": gettext_noop("Chat"),
    "email": gettext_noop("E-mail"),
    "notes": gettext_noop("Documents and notes"),
    "code": gettext_noop("Code and issues"),
    "crm": gettext_noop("CRM"),
    "shop": gettext_noop("Shops"),
    "erp": gettext_noop("ERP and orders"),
    "files": gettext_noop("Files"),
    "ai": gettext_noop("AI"),
}
_PLUG = Logo(path="M9 7V3m6 4V3M7 7h10v4a5 5 0 0 1-10 0zM12 16v5", colour="#4a5568")
_LOGOS: dict[str, Logo] = {
    "webhook": Logo(path="M9 5H5v14h4M11 12h9m-4-4 4 4-4 4", colour="#3b4a63"),
    "chat": Logo(path="M4 5h16v11H10l-4 4v-4H4z", colour="#5b3f8c"),
    "email": Logo(path="M4 6h16v12H4zM4 7l8 6 8-6", colour="#0b7285"),
    "notes": Logo(path="M6 4h9l3 3v13H6zM9 10h6m-6 3h6m-6 3h4", colour="#40474f"),
    "code": Logo(path="M9 7l-5 5 5 5M15 7l5 5-5 5", colour="#57606a"),
    "crm": Logo(path="M8 8a4 4 0 1 0 8 0 4 4 0 0 0-8 0zM5 20c0-4 3-6 7-6s7 2 7 6", colour="#0b67b2"),
    "shop": Logo(path="M3 5h3l2 10h9l3-7H7M9 19h.01M16 19h.01", colour="#7b4f9d"),
    "erp": Logo(path="M4 19h16M6 19v-6h4v6m4 0V6h4v13M10 19v-9h4v9", colour="#0f5c8c"),
    "files": Logo(path="M3 6h6l2 2h10v11H3z", colour="#935400"),
    "ai": Logo(path="M12 3c1 5 4 8 9 9-5 1-8 4-9 9-1-5-4-8-9-9 5-1 8-4 9-9z", colour="#2f5fd0"),
}


def logo_of(manifest: Manifest | None) -> Logo:
    """Return a connector type's logo, its family's, or a plug; None: a type that is not installed (any more)."""
    if manifest is None:
        return _PLUG
    return manifest.logo or _LOGOS.get(manifest.family, _PLUG)


def category_of(manifest: Manifest) -> str:
    """Return the heading under which a connector type stands."""
    family = manifest.family
    if known := CATEGORIES.get(family):
        return gettext(known)
    return family.upper() if len(family) <= 3 else family.replace("-", " ").capitalize()


def needs_of(manifest: Manifest) -> tuple[str, ...]:
    """Return what a person must have at hand: as the manifest says, else the fields that are required."""
    needed = tuple(field.title for field in manifest.fields if field.required and field.default is None)
    return tuple(gettext(each) for each in manifest.needs or needed)
