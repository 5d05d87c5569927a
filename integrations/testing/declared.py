"""What a connector says about itself is complete, and its configuration is checked by it."""

from __future__ import annotations

import re

import pytest

from integrations.connectors.base import BaseConnector
from integrations.connectors.versions import SDK_VERSION, Version, VersionRange
from integrations.errors import ConfigurationError

from .leaks import leaks_of
from .world import World

_SOUNDS_SECRET = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|token|credentials?|(api|access|private|signing|account)_?key|key)$"
)


class DeclaredChecks(World):
    def test_the_manifest_is_complete(self) -> None:
        manifest = self.connector.manifest
        assert manifest.label.strip() and manifest.family != "other", "label and family"
        assert manifest.description.endswith("."), "description: one sentence"
        assert manifest.docs_url.startswith("https://"), "docs_url: the provider's own documentation"
        assert Version.parse(SDK_VERSION) in VersionRange(manifest.sdk)
        assert manifest.does, "what can it do?"
        assert all(field.title and field.title == field.title.strip() for field in manifest.fields)
        assert not [field.name for field in manifest.fields if field.required and field.advanced], (
            "required, but hidden"
        )

    def test_secrets_are_marked(self) -> None:
        unmarked = [
            field.name
            for field in self.connector.manifest.fields
            if _SOUNDS_SECRET.search(field.name) and not field.is_secret and field.name not in self.public
        ]
        assert not unmarked, f"make these of the kind 'secret', or name them in `public`: {', '.join(unmarked)}"

    def test_it_does_what_it_says(self) -> None:
        kind, does = self.connector, set(self.connector.manifest.does)
        delivers = kind.deliver is not BaseConnector.deliver or kind.export is not BaseConnector.export
        assert delivers or not does & {"deliver", "export"}, "`does` says more than deliver() and export()"
        assert kind.check is not BaseConnector.check or "check" not in does, "`does` says check, and there is none"
        assert "check" in does or not self.bound().can_check, "there is a check, and `does` does not say so"

    def test_the_configuration_is_accepted(self) -> None:
        assert self.connector.validate_config(self.settings()) == {}

    def test_what_is_missing_is_named(self) -> None:
        manifest = self.connector.manifest
        for field in manifest.fields:
            if not field.required or field.default is not None:
                continue
            for nothing in ("", None):
                problems = self.connector.validate_config({**self.settings(), field.name: nothing})
                assert set(problems) == {field.name}, f"{field.name} is required"
            rest = {name: value for name, value in self.settings().items() if name != field.name}
            result = self.connector().test_connection(rest)
            assert not result.success and field.name in (result.error_message or "")

    def test_what_is_wrong_is_named_and_not_repeated(self) -> None:
        secrets = self.secrets
        for field in self.connector.manifest.fields:
            wrong = {field.name: "\0", "no_such_field": 1}
            with pytest.raises(ConfigurationError) as caught:
                self.connector.bound_to({**self.settings(), **wrong}, self.client)
            assert set(caught.value.problems) >= {field.name, "no_such_field"}
            assert not leaks_of(caught.value, secrets, caller=self)

    def test_its_repr_shows_no_secret(self) -> None:
        connector = self.bound()
        assert not [secret for secret in self.secrets if secret in repr(connector) + repr(connector.binding)]
