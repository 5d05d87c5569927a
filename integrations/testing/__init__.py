"""For the tests of connectors, ours and other packages': a conformance suite and servers that misbehave on purpose.

    from integrations.testing import Answer, ConnectorConformance

Needs pytest; nothing that runs in production imports this (docs/write-your-own-connector.md).
"""

import pkgutil

import pytest

# Before the modules are imported, or a failing check would say "assert False" and nothing more.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))

from .conformance import ConnectorConformance  # noqa: E402
from .receiver import Answer, Receiver, Request  # noqa: E402
from .requests_client import RequestsClient  # noqa: E402
from .scripted_server import ScriptedServer  # noqa: E402
from .webhook_receiver import WebhookReceiver, webhook_receiver  # noqa: E402

__all__ = [
    "Answer",
    "ConnectorConformance",
    "Receiver",
    "Request",
    "RequestsClient",
    "ScriptedServer",
    "WebhookReceiver",
    "webhook_receiver",
]
