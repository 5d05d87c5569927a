"""A host whose models know nothing of integrations, and what became of its writes.

billing      its models (hostapp/invoicing), captured by the ``integrations.py`` that was found beside them
acme, zulu   two tenants; acme's hook hears everything, zulu's too
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType

from integrations.capture import trigger_handler
from integrations.capture.discovery import discover
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.hostapp.installed import INVOICING, host_models
from integrations.tests.registered_types import forgotten_afterwards
from tenants.models import Tenant

from .world import INVOICES, STOCK


@pytest.fixture(scope="module")
def billing(django_db_setup: None, django_db_blocker: Any) -> Iterator[SimpleNamespace]:
    with (
        forgotten_afterwards(),
        django_db_blocker.unblock(),
        host_models(INVOICING) as models,
        django_db_blocker.block(),
    ):
        discover()
        yield models
        for handler in trigger_handler.handlers():
            if handler.model._meta.app_label == "invoicing":
                handler.disconnect()
        del sys.modules["integrations.tests.hostapp.invoicing.integrations"]
        with django_db_blocker.unblock():
            ContentType.objects.filter(app_label="invoicing").delete()
            ContentType.objects.clear_cache()


@pytest.fixture
def acme() -> Tenant:
    return _listening("Acme Corp")


@pytest.fixture
def zulu() -> Tenant:
    return _listening("Zulu Corp")


def _listening(name: str) -> Tenant:
    tenant = make_tenant(name)
    make_integration(tenant, name=f"{name} hook", events=(*INVOICES, *STOCK))
    return tenant


@pytest.fixture(autouse=True)
def _no_kinds_of_the_last_test() -> None:
    """Forget the content types that the last test rolled back: their keys may be others' now."""
    ContentType.objects.clear_cache()
