"""What `make console-load` says of an answer: pages are judged whole, a file that is sent while it is written by its
beginning."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from app.bench import console
from integrations.console.audit import views as audit_views
from integrations.models import AuditEntry

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a long password"))
    AuditEntry.objects.bulk_create(AuditEntry(action="tested", actor="root") for _ in range(60))
    return client


def queries(line: str) -> int:
    found = re.search(r"(\d+) queries", line)
    assert found, line
    return int(found[1])


def test_a_file_is_judged_by_its_beginning_and_told_whole(root: Client, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(audit_views, "CHUNK", 3)
    monkeypatch.setattr(console, "MILLISECONDS", 1e9)
    url = reverse("console:audit-export")
    assert console._measured(root, "audit-export", url) == 0
    beginning, whole = capsys.readouterr().out.splitlines()
    assert beginning.startswith("  · audit-export, its beginning") and "MB of it" in whole
    assert queries(whole) >= queries(beginning) + 19  # of the 20 blocks, all but the first
    monkeypatch.setattr(console, "QUERIES", queries(beginning) - 1)
    assert console._measured(root, "audit-export", url) == 1
    assert capsys.readouterr().out.startswith("  ✗ audit-export, its beginning")


def test_a_page_is_judged_whole(root: Client, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(console, "MILLISECONDS", 1e9)
    assert console._measured(root, "audit", reverse("console:audit")) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("  · audit  ")
    monkeypatch.setattr(console, "QUERIES", queries(line) - 1)
    assert console._measured(root, "audit", reverse("console:audit")) == 1
    assert "slowest statement" in capsys.readouterr().out
