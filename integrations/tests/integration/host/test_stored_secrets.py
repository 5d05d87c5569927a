"""What a stored secret is bound to, and how all of them, a host's too, get a new key."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test.utils import CaptureQueriesContext, isolate_apps

from integrations.credentials.encryption import EncryptionService
from integrations.errors import EncryptionError
from integrations.models import AbstractConnection, TenantIntegration

from .conftest import CANARY, Make

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

OLD, NEW = f"old:{'ab' * 32}", f"new:{'cd' * 32}"
SECRET = {"token": CANARY}


@pytest.fixture
def old_key(settings: Any) -> None:
    settings.ENCRYPTION_MASTER_KEY = OLD


def relatives(name: str = "Shop", **more: Any) -> dict[str, Any]:
    """Return a model, its proxy, its child, and a model of another name with the same rows."""
    with isolate_apps("integrations"):
        meta = type("Meta", (), {"app_label": "integrations"})
        proxied = type("Meta", (), {"app_label": "integrations", "proxy": True})
        base: Any = type(name, (AbstractConnection,), {"Meta": meta, "__module__": __name__})
        return {
            "itself": base,
            "proxy": type("Proxy", (base,), {"Meta": proxied, "__module__": __name__}),
            "child": type("Child", (base,), {"Meta": meta, "__module__": __name__}),
            "renamed": type("Store", (AbstractConnection,), {"Meta": meta, "__module__": __name__, **more}),
        }


@pytest.mark.parametrize("reader", ["itself", "proxy", "child", "renamed"])
@pytest.mark.parametrize("writer", ["itself", "proxy", "child", "renamed"])
def test_a_secret_opens_through_every_class_of_the_same_row(writer: str, reader: str) -> None:
    classes = relatives()
    row = classes[writer](credentials=SECRET)
    read = classes[reader](public_id=row.public_id, credentials_encrypted=row.credentials_encrypted)
    assert read.credentials == SECRET
    with pytest.raises(EncryptionError):
        _ = classes[reader](credentials_encrypted=row.credentials_encrypted).credentials  # another row


@pytest.mark.parametrize("reader", ["itself", "proxy", "child", "renamed"])
@pytest.mark.parametrize("writer", ["shop", "proxy", "child"])
def test_what_was_bound_to_a_label_still_opens_and_is_bound_anew(writer: str, reader: str) -> None:
    model = relatives(former_labels=("integrations.Shop", "integrations.proxy", "integrations.child"))[reader]
    row = model()
    aad = f"integrations.{writer}:{row.public_id}:credentials_encrypted"
    row.credentials_encrypted = EncryptionService.seal(json.dumps(SECRET), aad)
    assert row.credentials == SECRET
    assert model.credentials.reseal(row) and not model.credentials.reseal(row)
    assert relatives("Another")["itself"](
        public_id=row.public_id, credentials_encrypted=row.credentials_encrypted
    ).credentials == SECRET  # fmt: skip


def test_a_renamed_column_says_what_it_was_called() -> None:
    from integrations.credentials.fields import EncryptedText

    with isolate_apps("integrations"):

        class Vault(models.Model):  # noqa: DJ008
            old_encrypted = models.TextField()
            new_encrypted = models.TextField()
            before = EncryptedText("old_encrypted")
            now = EncryptedText("new_encrypted", bound_as="old_encrypted")

            class Meta:
                app_label = "integrations"

            def encryption_context(self) -> str:
                return "vault"

    row = Vault(before=CANARY)
    row.new_encrypted = row.old_encrypted
    assert row.now == CANARY


@pytest.mark.usefixtures("old_key")
def test_a_hosts_secrets_get_the_new_key_and_are_counted(make: Make, settings: Any, capsys: Any) -> None:
    rows = [make("host"), make("ours")]
    settings.ENCRYPTION_MASTER_KEY = f"{NEW},{OLD}"
    call_command("rotate_encryption", "--dry-run")
    said = capsys.readouterr().out
    assert "connectors.Connection: 1 of 1 row(s) to be sealed" in said
    call_command("rotate_encryption")
    said = capsys.readouterr().out
    assert "connectors.Connection: 1 of 1 row(s) were sealed" in said
    assert "integrations.TenantIntegration: 1 of 1 row(s) were sealed" in said
    settings.ENCRYPTION_MASTER_KEY = NEW
    for row in rows:
        row.refresh_from_db()
        assert row.credentials["token"] == CANARY


def test_a_hosts_fernet_values_are_sealed_too(make: Make, settings: Any, capsys: Any) -> None:
    settings.BAPP_CONNECTORS = {"ENCRYPTION_KEY": (key := Fernet.generate_key().decode())}
    row: Any = make("host")
    type(row).objects.update(credentials_encrypted=Fernet(key).encrypt(json.dumps(SECRET).encode()).decode())
    with pytest.raises(CommandError, match=r"Fernet key of BAPP_CONNECTORS.*still needed"):
        call_command("rotate_encryption", "--check")
    call_command("rotate_encryption")
    call_command("rotate_encryption", "--check")
    assert 'BAPP_CONNECTORS["ENCRYPTION_KEY"]: 0 value(s); no stored value needs it' in capsys.readouterr().out
    settings.BAPP_CONNECTORS = {}
    row.refresh_from_db()
    assert row.credentials == SECRET and row.credentials_encrypted.startswith("v1.")


@pytest.mark.usefixtures("old_key")
def test_check_says_of_each_key_who_needs_it(make: Make, settings: Any, capsys: Any) -> None:
    row: Any = make("host")
    settings.ENCRYPTION_MASTER_KEY = f"{NEW},{OLD}"
    before = row.credentials_encrypted
    with pytest.raises(CommandError, match=r"key old of .*still needed.*\(connectors\.Connection 1\)"):
        call_command("rotate_encryption", "--check")
    assert "key new of ENCRYPTION_MASTER_KEY (key 1 of 2): 0 value(s); seals" in capsys.readouterr().out
    row.refresh_from_db()
    assert row.credentials_encrypted == before, "it only looks"
    call_command("rotate_encryption")
    call_command("rotate_encryption", "--check")
    assert "key old of ENCRYPTION_MASTER_KEY (key 2 of 2): 0 value(s); no stored value" in capsys.readouterr().out


def test_a_value_that_no_key_opens_is_named_and_the_others_are_sealed(
    make: Make, settings: Any, host: SimpleNamespace
) -> None:
    settings.ENCRYPTION_MASTER_KEY = f"gone:{'ef' * 32}"
    lost: Any = make("host")
    settings.ENCRYPTION_MASTER_KEY = OLD
    kept: Any = make("host")
    settings.ENCRYPTION_MASTER_KEY = f"{NEW},{OLD}"
    for options in ((), ("--check",)):
        with pytest.raises(CommandError, match=rf"connectors.Connection {lost.pk}: .*'gone'") as caught:
            call_command("rotate_encryption", *options)
        assert CANARY not in str(caught.value)
    settings.ENCRYPTION_MASTER_KEY = NEW
    kept.refresh_from_db()
    assert kept.credentials["token"] == CANARY


@pytest.mark.usefixtures("old_key")
def test_rows_are_sealed_in_batches(make: Make, settings: Any, monkeypatch: Any, host: SimpleNamespace) -> None:
    monkeypatch.setattr("integrations.credentials.resealing.BATCH", 10)
    first: Any = make("host")
    for number in range(24):
        row = host.Connection(company=first.company, provider_family="building", provider_name=f"gate{number}")
        row.credentials = SECRET
        row.save()
    settings.ENCRYPTION_MASTER_KEY = f"{NEW},{OLD}"
    with CaptureQueriesContext(connection) as queries:
        call_command("rotate_encryption")
    writes = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert len(writes) == 3
    settings.ENCRYPTION_MASTER_KEY = NEW
    assert all(row.credentials["token"] == CANARY for row in host.Connection.objects.all())


@pytest.mark.usefixtures("old_key")
def test_a_new_key_says_nothing_about_who_wrote_the_settings(make: Make, settings: Any) -> None:
    row = make("ours")
    TenantIntegration.objects.filter(pk=row.pk).update(connector_version="0.9.0")
    updated_at = TenantIntegration.objects.values_list("updated_at", flat=True).get(pk=row.pk)
    settings.ENCRYPTION_MASTER_KEY = f"{NEW},{OLD}"
    call_command("rotate_encryption")
    after = TenantIntegration.objects.get(pk=row.pk)
    assert (after.connector_version, after.updated_at) == ("0.9.0", updated_at)
