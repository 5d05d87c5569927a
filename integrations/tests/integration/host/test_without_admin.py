"""A project that has the console and the API, and not Django's admin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[4]
SETTINGS = """
from app.settings import *

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "django.contrib.admin"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FILE}}
ROOT_URLCONF = "host_urls"
SECURE_SSL_REDIRECT = False
ALLOWED_HOSTS = ["*"]
"""
URLS = """
from django.urls import include, path

urlpatterns = [path("", include("integrations.urls"))]
"""
VISIT = """
import json

import django

django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from integrations.models import IntegrationSync, TenantIntegration
from integrations.publish import publish
from integrations.signals.workitem import emit_workitem_event
from tasks.models import WorkItem
from tenants.models import Tenant

call_command("migrate", verbosity=0)
tenant = Tenant.objects.create(name="Acme", slug="acme")
integration = TenantIntegration.objects.create(
    tenant=tenant, name="Hook", integration_type="webhook", webhook_url="https://hooks.example.com/x"
)
integration.subscribe("workitem_created")
item = WorkItem.objects.create(tenant=tenant, reference_id="R1")
client = Client(raise_request_exception=False)
answers = {}
for who in ("nobody", "boss"):
    if who == "boss":
        client.force_login(User.objects.create_superuser("boss"))
    for address in (
        "/console/", "/console/deliveries/", "/console/deliveries/?object=R1", "/console/integrations/",
        f"/console/deliveries/{IntegrationSync.objects.get().pk}/", "/dashboards/connectors/", "/api/docs",
        "/api/v1/docs", "/health/live",
    ):
        answers[f"{who} {address}"] = client.get(address).status_code
print(json.dumps(answers))
"""  # fmt: skip


def test_pages_of_a_project_without_the_admin(tmp_path: Path) -> None:
    (tmp_path / "host_settings.py").write_text(SETTINGS.replace("FILE", repr(str(tmp_path / "db.sqlite3"))))
    (tmp_path / "host_urls.py").write_text(URLS)
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "host_settings",
        "ENV_FILE": "",
        "CELERY_BROKER_URL": "memory://",
    }
    environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", VISIT], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    moved = {address for address, status in answers.items() if status == 302}
    to_sign_in = {address for address in answers if address.startswith(("nobody /console", "nobody /api/docs"))}
    assert moved == to_sign_in | {"nobody /dashboards/connectors/", "boss /dashboards/connectors/"}
    assert {status for address, status in answers.items() if address not in moved} == {200}
