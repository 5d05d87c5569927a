"""The server that misbehaves on purpose; it lives in integrations/testing, where other packages' tests find it too."""

from integrations.testing.scripted_server import (
    ANY,
    CLOSE,
    HANG,
    READ,
    RESET,
    Drip,
    Endless,
    ScriptedServer,
    ok,
)

__all__ = ["ANY", "CLOSE", "HANG", "READ", "RESET", "Drip", "Endless", "ScriptedServer", "ok"]
