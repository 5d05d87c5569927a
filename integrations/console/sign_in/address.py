"""Where people sign in: the project's own page if it has one, else ours."""

from __future__ import annotations

from typing import Any

from django.conf import global_settings, settings
from django.shortcuts import resolve_url
from django.urls import Resolver404, resolve, reverse


def sign_in_url() -> str:
    """Return the address of the page on which people sign in (``LOGIN_URL``, if the project has one there)."""
    return own_sign_in_url() or reverse("console:sign-in")


def own_sign_in_url() -> str:
    """Return the address of the project's own page, "" if it has none; ours then must not be a way around it."""
    if settings.LOGIN_URL != global_settings.LOGIN_URL:
        url = resolve_url(settings.LOGIN_URL)
        return "" if url == reverse("console:sign-in") else url
    try:
        resolve(global_settings.LOGIN_URL)  # the default may be the address of a page of theirs, too
    except Resolver404:
        return ""
    return str(global_settings.LOGIN_URL)


def has_password(user: Any) -> bool:
    """Tell whether `user` signs in here, with a password that can be changed here."""
    return not own_sign_in_url() and bool(user.has_usable_password())
