"""What a field of a form shows again, and what it never does."""

from __future__ import annotations

import pytest
from django import forms

from integrations.connectors.manifest import Field
from integrations.credentials.masking import MASK
from integrations.forms.choice import family_title
from integrations.forms.secret_fields import AddressField, HeadersField, SecretField, SecretTextarea


def shown_again(field: forms.Field, typed: str) -> str:
    """Return the HTML of a field that came back with an error elsewhere."""
    form = type("AForm", (forms.Form,), {"it": field})({"it": typed})
    form.is_valid()
    return str(form["it"])


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ('{"X-A": "canary"}', "&quot;X-A&quot;: &quot;&quot;"),
        (f'{{"X-A": "{MASK}", "X-B": "canary"}}', f"&quot;X-A&quot;: &quot;{MASK}&quot;"),
        (f'{{"X-A": "{MASK}"}}', f"{{&quot;X-A&quot;: &quot;{MASK}&quot;}}"),  # as it was typed
        ("{X: canary", ""),
        ('["canary"]', ""),
        ("[" * 10_000 + '"canary"', ""),
        ("", ""),
    ],
)
def test_headers_come_back_without_their_values(typed: str, expected: str) -> None:
    html = shown_again(HeadersField(stored={"X-A": "stored"}), typed)
    assert expected in html and "canary" not in html and "stored" not in html


@pytest.mark.parametrize(
    ("field", "typed", "comes_back"),
    [
        (AddressField(stored="https://h.example.com/canary"), "https://other.example.com/canary", False),
        (AddressField(stored="https://h.example.com/canary"), "https://h.example.com/•••", True),
        (AddressField(is_secret=False), "https://other.example.com/x", True),
        (SecretField(), "canary", False),
        (SecretField(stored="canary"), MASK, True),
        (SecretField(widget=SecretTextarea), "canary\nline", False),
        (SecretField(stored="canary", widget=SecretTextarea), f" {MASK}\r\n", True),
    ],
)
def test_only_the_mask_comes_back(field: forms.Field, typed: str, comes_back: bool) -> None:
    html = shown_again(field, typed)
    assert (typed.strip() in html) == comes_back and "canary" not in html
    assert field.forgets(typed) != comes_back  # type: ignore[attr-defined]


def test_a_secret_keeps_its_lines_and_its_spaces() -> None:
    assert SecretField().clean(" a\r\nb ") == " a\nb "


def test_only_texts_and_secrets_have_several_lines() -> None:
    assert Field(name="key", kind="secret", multiline=True).multiline
    with pytest.raises(ValueError, match="several lines"):
        Field(name="key", kind="integer", multiline=True)


@pytest.mark.parametrize(("family", "title"), [("crm", "CRM"), ("webhook", "Webhook"), ("no-code", "No code")])
def test_headings_of_the_select(family: str, title: str) -> None:
    assert family_title(family) == title
