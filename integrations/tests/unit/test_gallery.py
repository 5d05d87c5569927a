"""Each connector type says what a list to choose from shows, and one that says nothing is shown as its family is."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from integrations.connectors.gallery import category_of, logo_of, needs_of
from integrations.connectors.manifest import Field, Logo, Manifest
from integrations.connectors.registry import manifests


def contrast_with_white(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_every_type_of_ours_says_what_it_is_for_and_needs_and_has_a_logo_that_can_be_seen() -> None:
    ours = [manifest for manifest in manifests() if manifest.logo is not None]
    assert len(ours) >= 18
    for manifest in ours:
        assert manifest.description.endswith(".")
        assert manifest.needs
        assert contrast_with_white(logo_of(manifest).colour) >= 4.5, manifest.key
    assert len({logo_of(manifest) for manifest in ours}) == len(ours)


def test_a_type_that_says_nothing_of_itself_is_shown_as_its_family_is() -> None:
    fields = (Field(name="url", kind="url", required=True), Field(name="note"))
    bare = Manifest(key="ours", label="Ours", family="chat", fields=fields)
    assert needs_of(bare) == ("Url",)
    assert category_of(bare) == "Chat"
    assert logo_of(bare) != logo_of(None) == logo_of(bare.model_copy(update={"family": "field-service"}))
    assert category_of(bare.model_copy(update={"family": "field-service"})) == "Field service"


@pytest.mark.parametrize("path", ['M1 1"/><script>', "M1 1<", "url(#x)", ""])
def test_a_logo_is_a_path_and_nothing_else(path: str) -> None:
    with pytest.raises(ValidationError):
        Logo(path=path, colour="#112233")
