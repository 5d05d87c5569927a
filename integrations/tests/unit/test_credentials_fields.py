"""Encrypted attributes of a model, and the mask that forms show instead of them. No database needed."""

from __future__ import annotations

import pickle
import traceback
import uuid

import pytest
from cryptography.fernet import Fernet
from django.db import models
from django.test.utils import isolate_apps
from hypothesis import given
from hypothesis import strategies as st

from integrations.credentials.fields import EncryptedJSON, EncryptedText, encrypted_attributes, row_context
from integrations.credentials.masking import MASK, is_mask, mask, mask_values, merge_masked
from integrations.errors import EncryptionError

CANARY = "canary-51d0-secret"

with isolate_apps():  # a registry of their own: makemigrations must never see these

    class Owner(models.Model):  # noqa: DJ008
        class Meta:
            app_label = "isolated"

    class AbstractConnection(models.Model):
        credentials_encrypted = models.TextField(blank=True, default="")
        credentials = EncryptedJSON("credentials_encrypted")

        class Meta:
            abstract = True

    class Connection(AbstractConnection):  # noqa: DJ008
        tenant = models.ForeignKey(Owner, models.CASCADE)
        public_id = models.UUIDField(default=uuid.uuid4)
        headers_encrypted = models.TextField(blank=True, default="")
        url_encrypted = models.TextField(blank=True, default="")
        headers = EncryptedJSON("headers_encrypted", default=lambda: {"default": "yes"})
        url = EncryptedText("url_encrypted")

        class Meta:
            app_label = "isolated"

        def encryption_context(self) -> str:
            return row_context(self.tenant_id, self.public_id)


@pytest.fixture(autouse=True)
def keys(settings):
    settings.ENCRYPTION_MASTER_KEY = "2b" * 32
    settings.BAPP_CONNECTORS = {}
    settings.FERNET_KEYS = []


def make(tenant: int = 7, **kwargs) -> Connection:
    return Connection(tenant=Owner(pk=tenant), **kwargs)


def test_s0_21_set_stores_a_token_and_get_opens_it():
    row = make()
    row.headers = {"X-Api-Key": CANARY, "n": [1, {"ü": None}]}
    row.url = f"https://example.com/{CANARY}"
    assert row.headers == {"X-Api-Key": CANARY, "n": [1, {"ü": None}]}
    assert row.url == f"https://example.com/{CANARY}"
    assert row.headers_encrypted.startswith("v1.")
    assert row.url_encrypted.startswith("v1.")


def test_the_constructor_takes_the_plaintext_in_any_order_of_arguments():
    for row in (
        Connection(headers={"a": CANARY}, url=CANARY, credentials={"c": 1}, tenant=Owner(pk=7)),
        Connection(tenant_id=7, public_id=uuid.uuid4(), credentials={"c": 1}, url=CANARY, headers={"a": CANARY}),
    ):
        assert (row.headers, row.url, row.credentials) == ({"a": CANARY}, CANARY, {"c": 1})
    assert {"headers", "url", "credentials"} <= Connection._meta._property_names


@given(value=st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.booleans()), min_size=1))
def test_json_round_trip(value):
    row = make(credentials=value)
    assert row.credentials == value


@given(value=st.text())
def test_text_round_trip(value):
    row = make(url=value)
    assert row.url == ("" if is_mask(value) else value)


def test_empty_values_store_nothing_and_read_as_the_default():
    row = make()
    assert (row.headers, row.credentials, row.url) == ({"default": "yes"}, {}, "")
    row.credentials["x"] = 1  # the default is new at every read
    assert row.credentials == {}
    row = make(credentials={"a": 1}, url="x")
    row.credentials, row.url = {}, ""
    assert (row.credentials_encrypted, row.url_encrypted) == ("", "")


@pytest.mark.parametrize("value", [None, [CANARY], CANARY, CANARY.encode(), 3, (("a", CANARY),)])
def test_b242_credentials_that_are_no_dict_are_refused_before_the_save(value):
    row = make(credentials={"kept": True})
    with pytest.raises(TypeError, match=r"Connection\.credentials must be a dict") as caught:
        row.credentials = value
    assert CANARY not in str(caught.value)
    assert row.credentials == {"kept": True}


@pytest.mark.parametrize("value", [None, b"x", {"a": 1}, 3])
def test_text_that_is_no_text_is_refused(value):
    with pytest.raises(TypeError, match=r"Connection\.url must be a str"):
        make(url=value)


@pytest.mark.parametrize("value", [{1: CANARY}, {"a": {CANARY}}, {"a": float("nan")}])
def test_what_json_would_change_or_refuse_is_refused(value):
    with pytest.raises((TypeError, ValueError)) as caught:
        make(credentials=value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("row", [Connection(), Connection(tenant=Owner()), make(public_id=None)])
@pytest.mark.parametrize("name,value", [("headers", {"a": CANARY}), ("headers", {}), ("url", CANARY), ("url", "")])
def test_without_tenant_or_public_id_nothing_can_be_set(row, name, value):
    with pytest.raises(ValueError, match="tenant") as caught:
        setattr(row, name, value)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(vars(row))


def test_the_spelling_of_a_uuid_does_not_matter():
    """A row made with ``public_id="ABC…"`` reads back as ``UUID("abc…")``; its secrets must still open."""
    public_id = uuid.uuid4()
    spellings = (public_id, str(public_id), str(public_id).upper(), public_id.hex)
    assert {row_context(tenant, spelling) for tenant in (7, "7") for spelling in spellings} == {f"7:{public_id}"}
    assert row_context(7, "int_2x") == "7:int_2x"


def test_a_model_whose_context_is_empty_is_refused():
    class Bare:
        secret_encrypted = ""
        secret = EncryptedText("secret_encrypted")

        def encryption_context(self) -> str:
            return ""

    with pytest.raises(ValueError, match=r"Bare\.secret"):
        Bare().secret = CANARY


@pytest.mark.parametrize("other", [make(8), make(7)], ids=["tenant", "row"])
def test_b239_a_token_copied_to_another_tenant_or_row_does_not_open(other):
    row = make(headers={"a": CANARY})
    other.public_id = row.public_id if other.tenant_id != row.tenant_id else other.public_id
    other.headers_encrypted = row.headers_encrypted
    with pytest.raises(EncryptionError, match=r"Connection\.headers: authentication tag verification failed") as caught:
        _ = other.headers
    assert caught.value.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_b239_a_token_copied_to_another_column_does_not_open():
    row = make(headers={"a": CANARY})
    row.credentials_encrypted = row.headers_encrypted
    with pytest.raises(EncryptionError, match=r"Connection\.credentials: authentication tag"):
        _ = row.credentials


def test_text_that_is_no_json_object_is_not_quoted():
    row = make(url=CANARY)
    attribute = EncryptedJSON("url_encrypted")
    with pytest.raises(EncryptionError, match="not a JSON object") as caught:
        attribute.__get__(row)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_b240_a_fernet_value_is_written_as_aes_at_the_next_set_or_reseal(settings):
    key = Fernet.generate_key()
    settings.FERNET_KEYS = [key]
    row = make(headers_encrypted=Fernet(key).encrypt(b'{"a": "b"}').decode())
    assert row.headers == {"a": "b"}
    assert Connection.headers.needs_reseal(row)
    assert Connection.headers.reseal(row) is True
    assert Connection.headers.reseal(row) is False
    assert row.headers_encrypted.startswith("v1.")
    settings.FERNET_KEYS = []
    assert row.headers == {"a": "b"}
    row.headers_encrypted = Fernet(key).encrypt(b"{}").decode()
    row.headers = {"new": "1"}
    assert row.headers_encrypted.startswith("v1.")


def test_reseal_of_an_empty_column_does_nothing():
    row = make()
    assert [attribute.reseal(row) for attribute in encrypted_attributes(Connection)] == [False] * 3
    assert row.headers_encrypted == ""


def test_reseal_keeps_json_byte_for_byte_and_a_mask_that_was_sealed(settings):
    """Resealing does not pass the setter, which would read a mask as "unchanged"."""
    settings.FERNET_KEYS = [key := Fernet.generate_key()]
    row = make(url_encrypted=Fernet(key).encrypt(MASK.encode()).decode())
    assert Connection.url.reseal(row)
    assert row.url == MASK


def test_encrypted_attributes_are_found_on_bases_too():
    assert {a.name: a.column for a in encrypted_attributes(Connection)} == {
        "credentials": "credentials_encrypted",
        "headers": "headers_encrypted",
        "url": "url_encrypted",
    }


def test_no_plaintext_stays_on_the_instance():
    row = make(headers={"a": CANARY}, url=CANARY)
    assert (row.headers["a"], row.url) == (CANARY, CANARY)
    shown = repr(row) + str(row) + repr(vars(row)) + repr(vars(row._state))
    assert CANARY not in shown
    assert CANARY.encode() not in pickle.dumps(row.__reduce__())
    assert set(vars(row)) == {"_state", *(f.attname for f in Connection._meta.fields)}


# -- masking ----------------------------------------------------------------------------------------------


def test_mask_hides_length_and_shows_emptiness():
    assert mask("a") == mask("a" * 500) == mask({"a": 1}) == MASK
    assert mask("") == mask(None) == mask({}) == ""
    assert is_mask(MASK)
    assert is_mask(f" {MASK}\n")
    assert not any(is_mask(value) for value in ("", "•", MASK + "x", None, 3, [MASK]))
    assert mask_values({"X-Api-Key": CANARY, "Empty": ""}) == {"X-Api-Key": MASK, "Empty": ""}


def test_a_mask_that_comes_back_changes_nothing_and_is_never_stored():
    row = make(url=CANARY, headers={"A": CANARY, "B": "2", "C": "3"})
    before = row.url_encrypted
    row.url = MASK
    assert row.url_encrypted == before
    row.headers = {"A": MASK, "B": "new", "D": MASK}
    assert row.headers == {"A": CANARY, "B": "new"}
    fresh = make(url=MASK, credentials={"k": MASK})
    assert (fresh.url_encrypted, fresh.credentials_encrypted) == ("", "")


def test_merge_masked_leaves_its_arguments_alone():
    submitted, stored = {"a": MASK, "b": "2"}, {"a": "1", "z": "9"}
    assert merge_masked(submitted, stored) == {"a": "1", "b": "2"}
    assert (submitted, stored) == ({"a": MASK, "b": "2"}, {"a": "1", "z": "9"})
