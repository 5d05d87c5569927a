"""Where people sign in: the project's own page if it has one, else ours."""

from __future__ import annotations

from django.conf import global_settings, settings
from django.shortcuts import resolve_url
from django.urls import reverse


def sign_in_url() -> str:
    """Return the address of the page on which people sign in (``LOGIN_URL``, if the project sets it)."""
    if settings.LOGIN_URL != global_settings.LOGIN_URL:
        return resolve_url(settings.LOGIN_URL)
    return reverse("console:sign-in")
