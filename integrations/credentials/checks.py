"""System checks of the encryption keys; ``apps.py`` registers them with `register_checks`.

    integrations.crypto.E001  a key is unusable: wrong length, not hex, all zeros   always
                              (`refuse_unusable_keys` says the same before: web servers and workers run no checks)
    integrations.crypto.E002  ENCRYPTION_MASTER_KEY is not set                      check --deploy

See docs/SECURITY.md.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from integrations.credentials.key_ring import GENERATE, MASTER, get_key_ring, has_master_key

BAD_KEY = "integrations.crypto.E001"
NO_MASTER_KEY = "integrations.crypto.E002"


def check_encryption_keys(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report keys that cannot be used; otherwise the first sign would be failing deliveries."""
    try:
        get_key_ring()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id=BAD_KEY)]
    return []


def refuse_unusable_keys() -> None:
    """Raise ImproperlyConfigured if a key cannot be used; call it once, when Django starts.

    Else gunicorn and workers would start, and every delivery would fail. That there is no SECRET_KEY is no business of
    ours: Django has commands that need none.
    """
    try:
        has_any = has_master_key() or bool(settings.SECRET_KEY)
    except ImproperlyConfigured:
        return
    problem = check_encryption_keys() if has_any else []
    if problem:
        raise ImproperlyConfigured(problem[0].msg)


def check_master_key_set(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report that production would derive its key from SECRET_KEY, which is rotated for other reasons."""
    if has_master_key():
        return []
    return [
        checks.Error(
            f"{MASTER} is not set: credentials are encrypted with a key derived from SECRET_KEY.",
            hint=f"{GENERATE} Set it in the settings module, from a secret of its own. Credentials stored so far stay "
            "readable; `manage.py rotate_encryption` seals them with it.",
            id=NO_MASTER_KEY,
        )
    ]


def register_checks() -> None:
    """Register both with Django; call it once, from ``AppConfig.ready``."""
    checks.register(check_encryption_keys, checks.Tags.security)
    checks.register(check_master_key_set, checks.Tags.security, deploy=True)
