"""Secrets that live outside of the database: ``file:crm_token`` and ``env:CRM_TOKEN``.

A secret field may hold such a reference instead of the secret; it is looked up for every slice, so a rotated file
counts at once. Off unless the operator names a place:

    SECRETS_DIR            ``file:crm_token``  →  <SECRETS_DIR>/<tenant's slug>/crm_token
    SECRETS_ENV_PREFIX     ``env:CRM_TOKEN``   →  the variable <PREFIX><TENANT_SLUG>_CRM_TOKEN

The tenant is part of the place: nobody can name another tenant's secret, or one of the process's own.
Errors: ``IntegrationNotConfigured``, naming the reference and never what was found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrations import conf
from integrations.errors import IntegrationNotConfigured

MAX_BYTES = 16384
_FILE = re.compile(r"file:([A-Za-z0-9_-][A-Za-z0-9_.-]{0,99})", re.ASCII)
_ENV = re.compile(r"env:([A-Z][A-Z0-9_]{0,99})", re.ASCII)


def resolved(credentials: Mapping[str, Any], tenant_slug: str) -> dict[str, Any]:
    """Return `credentials` with every reference of the top level replaced by the secret that it names."""
    return {
        name: secret(value, tenant_slug) if isinstance(value, str) else value for name, value in credentials.items()
    }


def secret(value: str, tenant_slug: str) -> str:
    """Return what `value` refers to, or `value` itself if it is no reference or references are off.

    Raises:
        IntegrationNotConfigured: there is no such file or variable, or it is empty or unreadable.
    """
    if not value.startswith(("file:", "env:")):
        return value
    if conf.SECRETS_DIR and (match := _FILE.fullmatch(value)):
        found = _from_file(Path(conf.SECRETS_DIR, _folder(tenant_slug), match[1]))
    elif conf.SECRETS_ENV_PREFIX and (match := _ENV.fullmatch(value)):
        name = f"{conf.SECRETS_ENV_PREFIX}{_folder(tenant_slug).upper().replace('-', '_')}_{match[1]}"
        found = os.environ.get(name, "")
    else:
        return value
    if not found:
        raise IntegrationNotConfigured(f"the secret {value} is missing or unreadable; the operator must provide it")
    return found


def is_reference(value: str) -> bool:
    """Tell whether `value` only names a secret, and such names are looked up here."""
    is_file = bool(conf.SECRETS_DIR and _FILE.fullmatch(value))
    return is_file or bool(conf.SECRETS_ENV_PREFIX and _ENV.fullmatch(value))


def _folder(tenant_slug: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", tenant_slug, re.ASCII):
        raise IntegrationNotConfigured("give the tenant a slug: secrets outside the database are found by it")
    return tenant_slug


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return "" if len(data) > MAX_BYTES else data.decode().strip("\r\n")
    except (OSError, ValueError):
        return ""
