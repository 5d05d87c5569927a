"""EncryptionService: what it seals, what it refuses to open, and what its errors never say."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from integrations.credentials.encryption import CAUSES, VERIFICATION_FAILED, EncryptionService
from integrations.credentials.key_ring import get_key_ring
from integrations.errors import EncryptionError, IntegrationAuthError

CANARY = "canary-7f3a-secret"
AAD = "7:6f1c0f0e-0000-4000-8000-000000000001:headers_encrypted"
OLD, NEW = "1a" * 32, "2b" * 32
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(autouse=True)
def keys(settings):
    settings.ENCRYPTION_MASTER_KEY = NEW
    settings.SECRET_KEY = "test-secret-key"
    settings.SECRET_KEY_FALLBACKS = []
    settings.BAPP_CONNECTORS = {}
    settings.FERNET_KEYS = []
    return settings


def refused(action, *secrets: str) -> EncryptionError:
    """Run `action`; return its EncryptionError after searching all that hangs on it for `secrets`."""
    with pytest.raises(EncryptionError) as caught:
        action()
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None  # "from None" alone would keep it, only hidden
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error) + repr(vars(error))
    for secret in (CANARY, OLD, NEW, *secrets):
        assert secret not in shown
    assert len(error.message) < 500
    return error


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(text=st.text(), aad=st.text(min_size=1))
def test_what_is_sealed_opens_again(text, aad):
    token = EncryptionService.seal(text, aad)
    assert token.startswith("v1.")
    assert EncryptionService.open(token, aad) == text
    assert EncryptionService.open(EncryptionService.seal(text.encode(), aad), aad) == text


@given(text=st.text(), one=st.text(min_size=1), other=st.text(min_size=1))
def test_other_associated_data_never_opens(text, one, other):
    token = EncryptionService.seal(text, one)
    if one != other:
        refused(lambda: EncryptionService.open(token, other))


def test_the_token_shows_version_key_id_and_nothing_else():
    version, key_id, data = EncryptionService.seal(CANARY, AAD).split(".")
    assert (version, key_id) == ("v1", get_key_ring().current.id)
    raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    assert len(raw) == 12 + len(CANARY) + 16
    assert CANARY.encode() not in raw
    opened = AESGCM(bytes.fromhex(NEW)).decrypt(raw[:12], raw[12:], f"v1.{key_id}|{AAD}".encode())
    assert opened.decode() == CANARY


def test_b244_two_seals_of_the_same_value_differ():
    assert len({EncryptionService.seal(CANARY, AAD) for _ in range(200)}) == 200
    assert len({EncryptionService.encrypt_config({"a": CANARY}) for _ in range(200)}) == 200


def test_every_changed_character_is_refused():
    """Also the last one, whose unused bits base64 ignores, and characters that it would skip."""
    token = EncryptionService.seal(CANARY, AAD)
    for position in range(len(token)):
        for replacement in (*ALPHABET, "!", " ", "\n", "=", ".", "é", ""):
            changed = token[:position] + replacement + token[position + 1 :]
            if changed != token:
                refused(lambda changed=changed: EncryptionService.open(changed, AAD), token)


@pytest.mark.parametrize("extra", ["\n", " ", "!", "=", ".", "A", "é"])
def test_something_before_or_after_a_token_is_refused(extra):
    token = EncryptionService.seal(CANARY, AAD)
    refused(lambda: EncryptionService.open(token + extra, AAD), token)
    refused(lambda: EncryptionService.open(extra + token, AAD), token)


def test_every_flipped_bit_is_refused():
    version, key_id, data = EncryptionService.seal(CANARY, AAD).split(".")
    raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    for position in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[position // 8] ^= 1 << position % 8
        refused(lambda changed=changed: EncryptionService.open(f"{version}.{key_id}.{b64(changed)}", AAD))


@pytest.mark.parametrize(
    "token",
    [
        *("", "v1", "v1.", "v1..", "v1.k.", "v1.k.AAAA", "v2.k." + "A" * 60, "v1.k.A" + "A" * 60 + "\n"),
        *("plain text", CANARY, f"v1.{CANARY}", f"v1.{CANARY}.xyz", "gAAAA", "gAAAAé", "🔑"),
    ],
)
def test_what_is_no_token_is_refused(token):
    assert VERIFICATION_FAILED in refused(lambda: EncryptionService.open(token, AAD)).message


def test_b237_wrong_key_says_why_and_is_no_authentication_failure(settings):
    """The same key id with other key material: the tag decides."""
    settings.ENCRYPTION_MASTER_KEY = f"main:{OLD}"
    token = EncryptionService.seal(CANARY, AAD)
    settings.ENCRYPTION_MASTER_KEY = f"main:{NEW}"
    error = refused(lambda: EncryptionService.open(token, AAD), token)
    assert error.message == f"{VERIFICATION_FAILED}. {CAUSES}"
    for cause in (
        "key changed after encryption",
        "data was corrupted",
        "environments were mixed",
        "row was copied",
    ):
        assert cause in error.message
    assert not isinstance(error, IntegrationAuthError)  # the connection is flagged, nothing is counted
    assert error.code == "encryption"


def test_b237_missing_key_says_which_one(settings):
    settings.ENCRYPTION_MASTER_KEY = f"k2025:{OLD}"
    token = EncryptionService.seal(CANARY, AAD)
    settings.ENCRYPTION_MASTER_KEY = f"k2026:{NEW}"
    message = refused(lambda: EncryptionService.open(token, AAD), token).message
    assert message.startswith(VERIFICATION_FAILED)
    assert "'k2025'" in message


@pytest.mark.parametrize(
    "elsewhere",
    [AAD.replace("7:", "8:"), AAD.replace("0001", "0002"), AAD.replace("headers", "webhook_url")],
    ids=["tenant", "row", "column"],
)
def test_b239_a_copied_token_is_refused(elsewhere):
    token = EncryptionService.seal(CANARY, AAD)
    assert VERIFICATION_FAILED in refused(lambda: EncryptionService.open(token, elsewhere), token).message


def test_b240_an_old_fernet_token_opens_and_is_rewritten_as_aes(settings):
    key = Fernet.generate_key().decode()
    settings.BAPP_CONNECTORS = {"ENCRYPTION_KEY": key}
    old = Fernet(key).encrypt(CANARY.encode()).decode()
    assert old.startswith("gAAAA")
    assert EncryptionService.needs_reseal(old)
    assert EncryptionService.open(old, AAD) == CANARY
    new = EncryptionService.reseal(old, AAD)
    assert new.startswith("v1.")
    assert not EncryptionService.needs_reseal(new)
    assert EncryptionService.open(new, AAD) == CANARY


def test_b240_fernet_from_secret_key_and_from_the_legacy_list(settings):
    derived = base64.urlsafe_b64encode(hashlib.sha256(b"test-secret-key").digest())
    assert EncryptionService.open(Fernet(derived).encrypt(b"x").decode(), AAD) == "x"
    listed = Fernet.generate_key().decode()
    token = Fernet(listed).encrypt(CANARY.encode()).decode()
    assert VERIFICATION_FAILED in refused(lambda: EncryptionService.open(token, AAD), token).message
    settings.FERNET_KEYS = [Fernet.generate_key().decode(), listed]
    assert EncryptionService.open(token, AAD) == CANARY


def test_a_tampered_fernet_token_is_refused(settings):
    settings.FERNET_KEYS = [key := Fernet.generate_key().decode()]
    raw = base64.urlsafe_b64decode(Fernet(key).encrypt(CANARY.encode()))
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        token = base64.urlsafe_b64encode(changed).decode()
        refused(lambda token=token: EncryptionService.open(token, AAD), key)


def test_rotation_old_tokens_open_and_want_resealing(settings):
    settings.ENCRYPTION_MASTER_KEY = f"a:{OLD}"
    old = EncryptionService.seal(CANARY, AAD)
    assert not EncryptionService.needs_reseal(old)
    settings.ENCRYPTION_MASTER_KEY = f"b:{NEW},a:{OLD}"
    assert EncryptionService.open(old, AAD) == CANARY
    assert EncryptionService.needs_reseal(old)
    new = EncryptionService.reseal(old, AAD)
    settings.ENCRYPTION_MASTER_KEY = f"b:{NEW}"
    assert EncryptionService.open(new, AAD) == CANARY
    assert not EncryptionService.needs_reseal(new)
    assert not EncryptionService.needs_reseal("")


@pytest.mark.parametrize("empty", ["", None])
def test_seal_without_anything_to_bind_to_is_refused(empty):
    with pytest.raises(ValueError, match="associated data"):
        EncryptionService.seal(CANARY, empty)


@pytest.mark.parametrize("value", [None, 1, ["x"], {"a": 1}, bytearray(b"x")])
def test_seal_of_what_is_no_text_is_a_type_error(value):
    with pytest.raises(TypeError, match="str or bytes"):
        EncryptionService.seal(value, AAD)


@pytest.mark.parametrize("value", [CANARY.encode() + b"\xff", CANARY + "\ud800"])
def test_seal_of_broken_text_does_not_carry_it_in_the_error(value):
    with pytest.raises(ValueError, match="UTF-8") as caught:
        EncryptionService.seal(value, AAD)
    assert type(caught.value) is ValueError  # a UnicodeError has the whole text as .object
    assert caught.value.__context__ is None


# -- encrypt_config / decrypt_config --------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(config=st.dictionaries(st.text(), JSON_VALUES))
def test_config_round_trip(config):
    assert EncryptionService.decrypt_config(EncryptionService.encrypt_config(config)) == config


def test_config_is_iv_ciphertext_tag():
    config = {"host": "sftp.example.com", "password": CANARY}
    sealed = EncryptionService.encrypt_config(config)
    assert isinstance(sealed, bytes)
    assert CANARY.encode() not in sealed
    assert json.loads(AESGCM(bytes.fromhex(NEW)).decrypt(sealed[:12], sealed[12:], None)) == config
    assert EncryptionService.decrypt_config(memoryview(sealed)) == config
    assert EncryptionService.decrypt_config(bytearray(sealed)) == config


def test_config_opens_with_every_key_of_the_ring(settings):
    settings.ENCRYPTION_MASTER_KEY = OLD
    old = EncryptionService.encrypt_config({"a": 1})
    settings.ENCRYPTION_MASTER_KEY = f"n:{NEW},{OLD}"
    assert EncryptionService.decrypt_config(old) == {"a": 1}
    key = Fernet.generate_key()
    settings.FERNET_KEYS = [key]
    assert EncryptionService.decrypt_config(Fernet(key).encrypt(b'{"a": 2}')) == {"a": 2}


@pytest.mark.parametrize("value", [None, [CANARY], CANARY, CANARY.encode(), 3, {CANARY}])
def test_b242_config_that_is_no_dict_is_a_type_error_before_anything(settings, value):
    settings.ENCRYPTION_MASTER_KEY = "not a key"  # would be ImproperlyConfigured if it were looked at
    with pytest.raises(TypeError) as caught:
        EncryptionService.encrypt_config(value)
    assert CANARY not in str(caught.value)


def test_config_tampered_wrong_key_or_other_row_is_refused(settings):
    sealed = EncryptionService.encrypt_config({"password": CANARY}, aad="7:row")
    assert EncryptionService.decrypt_config(sealed, aad="7:row") == {"password": CANARY}
    for aad in ("", "8:row"):
        refused(lambda aad=aad: EncryptionService.decrypt_config(sealed, aad=aad))
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 0x80
        refused(lambda changed=changed: EncryptionService.decrypt_config(changed, aad="7:row"))
    for short in (b"", sealed[:11], sealed[:27]):
        refused(lambda short=short: EncryptionService.decrypt_config(short, aad="7:row"))
    settings.ENCRYPTION_MASTER_KEY = OLD
    error = refused(lambda: EncryptionService.decrypt_config(sealed, aad="7:row"))
    assert error.message == f"{VERIFICATION_FAILED}. {CAUSES}"


@pytest.mark.parametrize("plaintext", [CANARY, f'["{CANARY}"]', f'{{"a": "{CANARY}"', "null", ""])
def test_config_that_is_no_json_object_is_not_quoted(plaintext):
    nonce = os.urandom(12)
    sealed = nonce + AESGCM(bytes.fromhex(NEW)).encrypt(nonce, plaintext.encode(), None)
    refused(lambda: EncryptionService.decrypt_config(sealed))


def test_bytes_that_are_no_text_are_not_quoted():
    key, nonce = get_key_ring().current, os.urandom(12)
    raw = nonce + key.cipher.encrypt(nonce, CANARY.encode() + b"\xff", f"v1.{key.id}|{AAD}".encode())
    refused(lambda: EncryptionService.open(f"v1.{key.id}.{b64(raw)}", AAD))


def test_threads_share_the_ciphers():
    tokens = [EncryptionService.seal(f"{n}", AAD) for n in range(500)]
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda token: EncryptionService.open(token, AAD), tokens))
    assert opened == [f"{n}" for n in range(500)]


def test_an_encryption_error_survives_pickling_without_secrets():
    error = refused(lambda: EncryptionService.open("v1.none." + "A" * 60, AAD))
    assert "'none'" in pickle.loads(pickle.dumps(error)).message
