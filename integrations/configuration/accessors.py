"""One setting of a configuration as an attribute: ``configuration.github_token = "…"``.

Properties, because ``Model.__init__`` and ``create()`` take only properties as keyword arguments beside the fields.
The plaintext is never kept on the instance (credentials/fields.py).
"""

from __future__ import annotations

from typing import Any

from integrations.database import clock


class Setting(property):
    """A key of ``config``; "" where it is not set."""

    def __init__(self, key: str) -> None:
        super().__init__(self._get, self._put)
        self.key = key

    def _get(self, instance: Any) -> Any:
        return instance.config.get(self.key, "")

    def _put(self, instance: Any, value: Any) -> None:
        instance.config = {**instance.config, self.key: value}


class Credential(property):
    """A key of the encrypted ``credentials``; "" where it is not set. A new value is a rotation."""

    def __init__(self, key: str) -> None:
        super().__init__(self._get, self._put)
        self.key = key

    def _get(self, instance: Any) -> str:
        return str(instance.credentials.get(self.key, ""))

    def _put(self, instance: Any, value: str) -> None:
        credentials = instance.credentials
        if credentials.get(self.key, "") != value:
            instance.credentials = {**credentials, self.key: value}
            instance.rotated_at = clock.now()


class Address(property):
    """The encrypted ``url``."""

    def __init__(self) -> None:
        super().__init__(lambda instance: instance.url, self._put)

    @staticmethod
    def _put(instance: Any, value: str) -> None:
        instance.url = value
