"""A JSON object in a form: secrets do not travel to the browser, and what comes back is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError

from integrations.admin.widgets.masked_json import MaskedJSONField, masked
from integrations.credentials.masking import MASK

STORED = {"key": "canary-key", "user": "jane", "more": {"token": "canary-deep", "size": 3}, "hooks": [{"secret": "s1"}]}


def is_secret(name: str) -> bool:
    return name in ("key", "token", "secret")


def field(**options: Any) -> MaskedJSONField:
    return MaskedJSONField(**{"stored": STORED, "is_secret": is_secret, **options})


def test_secrets_are_masked_at_any_depth_and_the_rest_is_shown() -> None:
    shown = json.loads(field().initial)
    assert shown == {"key": MASK, "user": "jane", "more": {"token": MASK, "size": 3}, "hooks": MASK}
    assert masked({"key": ""}, is_secret) == {"key": ""}, "nothing is behind an empty one"


def test_what_was_shown_comes_back_as_what_is_stored() -> None:
    it = field()
    assert it.clean(it.initial) == STORED
    assert not it.has_changed(None, it.initial.replace("\n", "\r\n"))
    assert it.clean(None) == STORED and not it.has_changed(None, None), "the page did not have the field"


def test_what_is_typed_replaces_and_what_is_left_out_goes() -> None:
    text = json.dumps({"key": "new", "more": {"token": MASK}})
    assert field().clean(text) == {"key": "new", "more": {"token": "canary-deep"}}
    assert field().clean("") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"key": }', "line 1, column 9"),
        ('["key"]', "must be a JSON object"),
        ('"canary-typed"', "must be a JSON object"),
        (json.dumps({"other": MASK}), "The dots of other stand for a stored value"),
        (json.dumps({"more": {"size": 1, "no": MASK}}), "The dots of more.no"),
        (json.dumps({"key": f"{MASK}x"}), "Remove the dots from key"),
        (json.dumps({"user": [MASK]}), "Remove the dots from user"),
        ('{"key": NaN}', "NaN"),
        ('{"key": "\\ud800"}', "half a character"),
        ('{"key": "\\u0000"}', "NUL"),
        ('{"key": ' + "[" * 100_000, "at most"),
        ('{"key": ' + "[" * 90_000, "nesting"),
    ],
)
def test_wrong_input_says_what_to_do_and_quotes_nothing(text: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        field().clean(text)
    assert words in str(caught.value) and "canary" not in str(caught.value)
    assert caught.value.__context__ is None, "the parser's error quotes what was typed"


class Form(forms.Form):
    settings = field(empty=("wanted",))
    other = forms.CharField()


def test_after_an_error_no_typed_secret_is_sent_back() -> None:
    typed = json.dumps({"key": "canary-typed", "user": "bob", "hooks": [{"secret": "canary-list"}]})
    html = str(Form({"settings": typed})["settings"])
    assert "canary" not in html and "bob" in html and "wanted" in html
    assert "canary" not in str(Form({"settings": '{"key": "canary-typed"'})["settings"])
    assert field().forgets(typed) and not field().forgets(field().initial)


def test_the_names_whose_secret_is_kept() -> None:
    assert field().masks_of(field().initial) == {"key", "more", "hooks"}
    assert field().masks_of("[") == field().masks_of("[]") == set()
