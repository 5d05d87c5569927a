"""Pages of Django's admin, in a project that may have none."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.urls import NoReverseMatch, reverse


def has_admin() -> bool:
    """Tell whether the project has Django's admin; without it, ``admin.site`` cannot even be looked at."""
    return apps.is_installed("django.contrib.admin")


def admin_address(name: str, *args: Any) -> str:
    """Return the address of a page of the admin, "" if the project has none of it."""
    if not has_admin():
        return ""
    try:
        return reverse(f"{admin.site.name}:{name}", args=args)
    except NoReverseMatch:
        return ""
