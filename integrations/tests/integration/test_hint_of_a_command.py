"""A program that ends as soon as it has saved: the interpreter waits for the hint of its last commit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.celery import app
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.services import PROJECT, Broker, database_url

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

SAVE = """
import django
django.setup()
from tasks.models import WorkItem
def save():
    WorkItem.objects.create(tenant_id={tenant}, reference_id="RMA-1")
"""


@pytest.mark.parametrize("end", ["save()", "import atexit; atexit.register(save)"])
def test_the_hint_of_its_last_save_is_sent(broker: Broker, end: str) -> None:
    """Also when it saves while it ends, when no thread takes up anything new."""
    target = make_integration(make_tenant())
    env = {"DJANGO_SETTINGS_MODULE": "app.settings", "DATABASE_URL": database_url(), **broker.env}
    words = [sys.executable, "-c", SAVE.format(tenant=target.tenant_id) + end]
    done = subprocess.run(words, cwd=PROJECT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("deliveries").get(timeout=5)
        message.ack()
    assert message.payload[1]["integration_id"] == target.pk
