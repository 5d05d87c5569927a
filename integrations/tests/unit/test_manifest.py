"""The manifest refuses what would only fail later, in front of a person."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from integrations.connectors.manifest import Field, Manifest, OAuth, RateLimit


def manifest(**more: Any) -> Manifest:
    return Manifest(**{"key": "acme", "label": "Acme", **more})


@pytest.mark.parametrize("key", ["", "1acme", "acme erp", "acme.erp", "a" * 51, "äcme", "acme\n"])
def test_bad_keys(key: str) -> None:
    with pytest.raises(ValidationError):
        manifest(key=key)


@pytest.mark.parametrize("key", ["acme", "MY_ERP", "DROPZONE_JSON_V1", "n8n", "a" * 50])
def test_good_keys(key: str) -> None:
    assert manifest(key=key).key == key


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"version": "one"}, "is no version"),
        ({"sdk": "~1"}, "is no version"),
        ({"family": "Chat Rooms"}, "match pattern"),
        ({"timeout": 0.5}, "greater than or equal to 1"),
        ({"timeout": 61}, "less than or equal to 60"),
        ({"does": ("fly",)}, "'deliver', 'export', 'check' or 'read'"),
        ({"colour": "red"}, "Extra inputs"),
        ({"allowed_hosts": ("https://slack.com",)}, "not a host such as"),
        ({"allowed_hosts": ("Slack.com",)}, "not a host such as"),
        ({"allowed_hosts": ("a.*.com",)}, "not a host such as"),
        ({"fields": (Field(name="a"), Field(name="b"), Field(name="a"))}, "fields given twice: a"),
    ],
)
def test_bad_manifests(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        manifest(**more)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"name": "Name"}, "match pattern"),
        ({"name": "_hidden"}, "match pattern"),
        ({"name": "a" * 51}, "match pattern"),
        ({"name": "a", "kind": "colour"}, "Input should be"),
        ({"name": "a", "kind": "choice"}, "has choices"),
        ({"name": "a", "choices": ("x",)}, "has choices"),
        ({"name": "a", "kind": "choice", "choices": ("x",), "default": "y"}, "not one of the choices"),
        ({"name": "a", "kind": "secret", "default": "hunter2"}, "a secret cannot have a default"),
        ({"name": "a", "kind": "integer", "default": "5"}, "must be one"),
        ({"name": "a", "kind": "boolean", "default": 1}, "must be one"),
        ({"name": "a", "pattern": "("}, "not a regular expression"),
    ],
)
def test_bad_fields(field: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        Field(**field)
    assert "hunter2" not in str(caught.value)


def test_an_authorization_code_needs_an_address_to_agree_at() -> None:
    with pytest.raises(ValidationError, match="needs an authorize_url"):
        OAuth(grant="authorization_code", token_url="https://acme.example/token")


def test_a_rate_limit_is_at_least_one_a_minute() -> None:
    with pytest.raises(ValidationError):
        RateLimit(per_minute=0)


def test_what_it_says_of_its_fields() -> None:
    fields = (
        Field(name="base_url", kind="url", default="https://acme.example"),
        Field(name="api_key", kind="secret"),
        Field(name="mode", label="How", default=None),
    )
    found = manifest(fields=fields)
    assert found.secret_names == {"api_key"}
    assert found.defaults() == {"base_url": "https://acme.example"}
    assert found.field("mode") is fields[2] and found.field("nothing") is None
    assert [field.title for field in fields] == ["Base url", "Api key", "How"]
    assert not found.is_open and manifest().is_open


def test_it_does_not_change() -> None:
    with pytest.raises(ValidationError):
        manifest().key = "other"
