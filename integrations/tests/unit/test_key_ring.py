"""The key ring: which settings make which keys, and what a bad key is told; the system checks."""

from __future__ import annotations

import pickle

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from integrations.credentials import checks
from integrations.credentials.encryption import EncryptionService
from integrations.credentials.key_ring import get_key_ring, has_master_key
from integrations.errors import EncryptionError

A, B = "a1" * 32, "b2" * 32


@pytest.fixture(autouse=True)
def plain(settings):
    settings.ENCRYPTION_MASTER_KEY = ""
    settings.SECRET_KEY = "test-secret-key"
    settings.SECRET_KEY_FALLBACKS = []
    settings.BAPP_CONNECTORS = {}
    settings.FERNET_KEYS = []


@pytest.mark.parametrize("value", [A, f" {A.upper()}\n", f"{A},"])
def test_a_bare_key_gets_an_id_made_from_itself(settings, value):
    settings.ENCRYPTION_MASTER_KEY = value
    current = get_key_ring().current
    assert current.id == current.fingerprint
    assert len(current.id) == 8
    assert current.id not in A
    settings.ENCRYPTION_MASTER_KEY = B
    assert get_key_ring().current.id != current.id


def test_a_list_is_newest_first(settings):
    settings.ENCRYPTION_MASTER_KEY = f"y2026:{B}, y2025:{A}"
    ring = get_key_ring()
    assert ring.current.id == "y2026"
    assert [key.id for key in ring.keys[:2]] == ["y2026", "y2025"]
    assert ring.by_id["y2025"] is ring.keys[1]
    assert "y2024" not in ring.by_id


def test_naming_a_bare_key_later_keeps_its_tokens_readable(settings):
    settings.ENCRYPTION_MASTER_KEY = A
    token = EncryptionService.seal("x", "1:row")
    settings.ENCRYPTION_MASTER_KEY = f"first:{A}"
    assert EncryptionService.open(token, "1:row") == "x"


@pytest.mark.parametrize("unset", ["", "  ", None])
def test_s0_36_without_a_master_key_the_secret_key_seals(settings, unset):
    settings.ENCRYPTION_MASTER_KEY = unset
    assert not has_master_key()
    token = EncryptionService.seal("x", "1:row")
    assert EncryptionService.open(token, "1:row") == "x"
    settings.SECRET_KEY = "another"
    with pytest.raises(EncryptionError):
        EncryptionService.open(token, "1:row")
    settings.SECRET_KEY_FALLBACKS = ["test-secret-key"]
    assert EncryptionService.open(token, "1:row") == "x"
    assert EncryptionService.needs_reseal(token)


def test_the_derivation_never_changes(settings):
    """A released derivation is for ever: this token was written by the first version."""
    assert [key.id for key in get_key_ring().keys] == ["0717a258"]
    assert EncryptionService.open("v1.0717a258.5Ynh5-a-FC3OKZPIcl8iTKnnOJUKEJD5jPyq0_-7PY2Kog", "1:row") == "héllo"


def test_setting_a_master_key_keeps_credentials_readable(settings):
    token = EncryptionService.seal("x", "1:row")
    settings.ENCRYPTION_MASTER_KEY = A
    assert EncryptionService.open(token, "1:row") == "x"
    assert EncryptionService.needs_reseal(token)
    new = EncryptionService.reseal(token, "1:row")
    settings.SECRET_KEY = "rotated"
    assert EncryptionService.open(new, "1:row") == "x"


def test_the_ring_is_cached_and_follows_the_settings(settings):
    settings.ENCRYPTION_MASTER_KEY = A
    ring = get_key_ring()
    assert get_key_ring() is ring
    with override_settings(ENCRYPTION_MASTER_KEY=B):
        assert get_key_ring().current.id != ring.current.id
    assert get_key_ring().current.id == ring.current.id


def test_no_key_shows_in_a_repr_and_none_can_be_pickled(settings):
    settings.ENCRYPTION_MASTER_KEY = f"one:{A}"
    ring = get_key_ring()
    shown = repr(ring) + repr(ring.current) + repr(vars(ring.current))
    assert A not in shown
    assert repr(bytes.fromhex(A)) not in shown
    assert "test-secret-key" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(ring)


BAD = {
    "short": ("c3" * 31, "62 characters"),
    "long": ("c3" * 33, "66 characters"),
    "not-hex": ("c3" * 31 + "zz", "other than 0-9 and a-f"),
    "not-ascii-digits": ("٣" * 64, "other than 0-9 and a-f"),
    "seed-example": ("abc123...", "9 characters"),
    "B236-all-zero": ("00" * 32, "all zeros"),
    "B236-all-zero-named": (f"k:{'00' * 32}", "all zeros"),
    "second-bad": (f"a:{A},b:c3c3", "key 2 of 2"),
    "no-key": (" , ", "contains no key"),
    "bad-id": (f"a b:{A}", "key id"),
    "no-id": (f":{A}", "key id"),
    "dotted-id": (f"a.b:{A}", "key id"),
    "same-id": (f"a:{A},a:{B}", "twice"),
    "bytes": (bytes.fromhex(A), "must be text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_master_keys_are_refused_without_quoting_them(settings, name):
    value, words = BAD[name]
    settings.ENCRYPTION_MASTER_KEY = value
    with pytest.raises(ImproperlyConfigured) as caught:
        get_key_ring()
    message = str(caught.value)
    assert "ENCRYPTION_MASTER_KEY" in message
    assert words in message
    for secret in ("c3c3", "abc123", A, B, "٣"):
        assert secret not in message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    (error,) = checks.check_encryption_keys()
    assert (error.id, error.msg) == (checks.BAD_KEY, message)


def test_an_id_that_is_another_keys_fingerprint_is_refused(settings):
    settings.ENCRYPTION_MASTER_KEY = A
    fingerprint = get_key_ring().current.fingerprint
    settings.ENCRYPTION_MASTER_KEY = f"{fingerprint}:{B},old:{A}"
    with pytest.raises(ImproperlyConfigured, match="two different keys"):
        get_key_ring()


@pytest.mark.parametrize("where", ['BAPP_CONNECTORS["ENCRYPTION_KEY"]', "FERNET_KEYS[0]"])
@pytest.mark.parametrize("bad", ["c3c3", "b0b0" * 10, 7, "é" * 44])
def test_bad_fernet_keys_are_refused_without_quoting_them(settings, where, bad):
    if where.startswith("BAPP"):
        settings.BAPP_CONNECTORS = {"ENCRYPTION_KEY": bad}
    else:
        settings.FERNET_KEYS = [bad]
    with pytest.raises(ImproperlyConfigured) as caught:
        get_key_ring()
    assert where in str(caught.value)
    assert f" {bad}" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_single_fernet_key_instead_of_a_list_is_understood(settings):
    key = Fernet.generate_key().decode()
    settings.FERNET_KEYS = key
    assert EncryptionService.open(Fernet(key).encrypt(b"x").decode(), "1:row") == "x"


def test_a_master_key_alone_is_enough(settings):
    settings.SECRET_KEY = ""
    settings.ENCRYPTION_MASTER_KEY = A
    assert EncryptionService.open(EncryptionService.seal("x", "1:row"), "1:row") == "x"
    settings.ENCRYPTION_MASTER_KEY = ""
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        get_key_ring()


# -- system checks --------------------------------------------------------------------------------------


def test_b234_a_missing_master_key_is_an_error_in_production(settings):
    (error,) = checks.check_master_key_set()
    assert error.id == checks.NO_MASTER_KEY
    assert error.is_serious()
    assert "os.urandom(32).hex()" in error.hint
    settings.ENCRYPTION_MASTER_KEY = A
    assert checks.check_master_key_set() == []


def test_b236_an_all_zero_key_is_an_error_also_in_development(settings):
    settings.ENCRYPTION_MASTER_KEY = "00" * 32
    (error,) = checks.check_encryption_keys()
    assert error.id == checks.BAD_KEY
    assert error.is_serious()
    settings.ENCRYPTION_MASTER_KEY = A
    assert checks.check_encryption_keys() == []


def test_registering_marks_only_the_missing_key_as_a_deploy_check(monkeypatch):
    from django.core.checks.registry import CheckRegistry

    registry = CheckRegistry()
    monkeypatch.setattr("django.core.checks.register", registry.register)
    checks.register_checks()
    assert registry.registered_checks == {checks.check_encryption_keys}
    assert registry.deployment_checks == {checks.check_master_key_set}
    assert [e.id for e in registry.run_checks(tags=["security"], include_deployment_checks=True)] == [
        checks.NO_MASTER_KEY
    ]


@pytest.mark.parametrize("name", ["ENCRYPTION_MASTER_KEY", "FERNET_KEYS", "BAPP_CONNECTORS"])
def test_an_unusable_key_of_any_setting_is_refused_when_django_starts(settings, name):
    settings.ENCRYPTION_MASTER_KEY = "2b" * 32
    checks.refuse_unusable_keys()
    setattr(settings, name, {"FERNET_KEYS": ["short"], "BAPP_CONNECTORS": {"ENCRYPTION_KEY": "short"}}.get(name, "xyz"))
    with pytest.raises(ImproperlyConfigured, match="Make one with"):
        checks.refuse_unusable_keys()


def test_a_command_that_needs_no_secret_key_runs_without_one(settings):
    settings.ENCRYPTION_MASTER_KEY = None
    settings.SECRET_KEY = ""
    checks.refuse_unusable_keys()
