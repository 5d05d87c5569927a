"""``from integrations import …``: everything from one place, and nothing loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import integrations
from integrations.tests.services import PROJECT

PRINTED = """
from integrations import (
    BaseConnector, BaseIntegration, ConnectorRegistry, EncryptionService, HTTPClient, IntegrationAuthError,
    IntegrationDisabled, IntegrationError, IntegrationNotConfigured, IntegrationPermanentError, IntegrationRateLimited,
    IntegrationTemporaryError, config, get_connector,
)
"""


@pytest.mark.parametrize("name", integrations.__all__)
def test_every_name_is_there(name: str) -> None:
    found = getattr(integrations, name)
    assert found is getattr(integrations, name)
    assert getattr(found, "__name__", name).rpartition(".")[2] in (name, "service", "IntegrationError")
    assert name in dir(integrations)


def test_the_printed_imports_work() -> None:
    names: dict[str, object] = {}
    exec(PRINTED, names)
    assert names["BaseIntegration"] is integrations.BaseIntegration


def test_star_and_typos() -> None:
    names: dict[str, object] = {}
    exec("from integrations import *", names)
    assert set(integrations.__all__) <= set(names)
    with pytest.raises(AttributeError, match="module 'integrations' has no attribute 'HTTPCleint'"):
        _ = integrations.HTTPCleint  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from integrations import nothing_of_that_name", {})


def run(code: str) -> str:
    """Run `code` in a process that has loaded nothing of ours."""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing() -> None:
    loaded = run(
        "import sys, integrations\n"
        "from integrations import IntegrationError, IntegrationDisabled\n"
        "print([name for name in sys.modules if name.startswith(('integrations.', 'django', 'celery', 'pydantic'))])"
    )
    assert loaded.strip() == "['integrations.errors']"


def test_before_django_is_set_up_only_what_needs_models_says_so() -> None:
    """E.g. in a settings file, or in an AppConfig module."""
    printed = run(
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'app.settings'\n"
        "from django.core.exceptions import AppRegistryNotReady\n"
        "from integrations import HTTPClient, EncryptionService, ConnectorRegistry\n"
        "print(HTTPClient('https://api.example.com'))\n"
        "try:\n"
        "    from integrations import BaseIntegration\n"
        "except AppRegistryNotReady:\n"
        "    print('not ready')\n"
        "import django; django.setup()\n"
        "from integrations import BaseIntegration\n"
        "print(BaseIntegration.__name__)"
    )
    assert printed.split("\n")[:3] == ["HTTPClient(https://api.example.com)", "not ready", "BaseIntegration"]
