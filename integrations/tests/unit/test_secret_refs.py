"""Secrets outside of the database: each tenant its own, and nothing else of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integrations.credentials.secret_refs import resolved, secret
from integrations.errors import IntegrationNotConfigured


@pytest.fixture
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.INTEGRATIONS = {"SECRETS_DIR": str(tmp_path), "SECRETS_ENV_PREFIX": "OUTBOX_"}
    monkeypatch.setenv("OUTBOX_ACME_CORP_CRM_TOKEN", "from-the-environment")
    monkeypatch.setenv("CRM_TOKEN", "of the process")
    (tmp_path / "acme-corp").mkdir()
    (tmp_path / "acme-corp" / "crm_token").write_text("from-the-file\n")
    (tmp_path / "of-the-operator").write_text("canary")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_references_are_looked_up_for_the_tenant() -> None:
    stored = {"token": "file:crm_token", "password": "env:CRM_TOKEN", "key": "plain", "number": 7}
    assert resolved(stored, "acme-corp") == {
        "token": "from-the-file", "password": "from-the-environment", "key": "plain", "number": 7,
    }  # fmt: skip


def test_a_rotated_file_counts_at_once(folder: Path) -> None:
    (folder / "acme-corp" / "crm_token").write_text("the new one")
    assert secret("file:crm_token", "acme-corp") == "the new one"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("value", ["file:crm_token", "env:CRM_TOKEN", "file:nothing", "env:HOME"])
def test_what_is_not_theirs_is_not_found(value: str) -> None:
    with pytest.raises(IntegrationNotConfigured, match="missing or unreadable"):
        secret(value, "other")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "value", ["file:../of-the-operator", "file:/etc/passwd", "file:.", "file:", "env:path", "env:A-B"]
)
def test_what_is_no_reference_is_a_secret_like_any_other(value: str) -> None:
    assert secret(value, "acme-corp") == value


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("slug", ["", "..", "a/b", "ümlaut"])
def test_a_tenant_without_a_usable_slug_has_no_place(slug: str) -> None:
    with pytest.raises(IntegrationNotConfigured, match="slug"):
        secret("file:crm_token", slug)


def test_too_large_or_not_text(folder: Path) -> None:
    for data in (b"x" * 16385, b"\xff\xfe", b""):
        (folder / "acme-corp" / "crm_token").write_bytes(data)
        with pytest.raises(IntegrationNotConfigured):
            secret("file:crm_token", "acme-corp")


def test_without_a_place_nothing_is_a_reference(settings: Any) -> None:
    settings.INTEGRATIONS = {}
    assert secret("file:crm_token", "acme-corp") == "file:crm_token"
    assert secret("env:HOME", "acme-corp") == "env:HOME"
