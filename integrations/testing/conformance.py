"""The conformance suite: what every connector must do, whoever wrote it.

    class TestAcme(ConnectorConformance):
        connector = AcmeConnector
        config = {"base_url": "{server}", "api_key": "k-canary-7f3a91"}
        success = Answer(201, b'{"id": 7}')

pytest runs it as it stands; it brings its own loopback server. world.py says what else can be declared: which statuses
mean something else, how to reply to several calls, how to read pages. A check that a connector cannot pass is named
in `exempt`, with the reason; one that does not apply (an OAuth check without OAuth) is not there at all.
"""

from __future__ import annotations

from typing import Any

from .answers import AnswerChecks
from .declared import DeclaredChecks
from .network import NetworkChecks, SocketChecks
from .secrecy import SecrecyChecks
from .world import World
from .writes import CheckChecks, ExportChecks, OAuthChecks, PagingChecks, WriteChecks


class ConnectorConformance(
    DeclaredChecks,
    AnswerChecks,
    NetworkChecks,
    SecrecyChecks,
    WriteChecks,
    ExportChecks,
    CheckChecks,
    OAuthChecks,
    PagingChecks,
    SocketChecks,
):
    """Derive a ``Test…`` class from this and give it `connector`, `config` and `success`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if unknown := sorted(name for name in cls.exempt if not hasattr(cls, f"test_{name}")):
            raise TypeError(f"{cls.__name__}: there is no check called {', '.join(unknown)}")
        if bare := sorted(name for name, reason in cls.exempt.items() if not reason.strip()):
            raise TypeError(f"{cls.__name__}: say why {', '.join(bare)} does not hold")
        if not hasattr(cls, "connector"):
            return
        for name in {f"test_{name}" for name in cls.exempt} | set(_beside_the_point(cls)):
            setattr(cls, name, None)  # pytest collects functions only


def _beside_the_point(cls: type[ConnectorConformance]) -> list[str]:
    """Return the checks of what the connector does not do."""
    manifest, does = cls.connector.manifest, set(cls.connector.manifest.does)
    applies: dict[type[World], bool] = {
        AnswerChecks: cls.speaks_http,
        NetworkChecks: cls.speaks_http,
        SecrecyChecks: cls.speaks_http,
        WriteChecks: cls.speaks_http and bool(does & {"deliver", "export"}),
        ExportChecks: cls.speaks_http and "export" in does,
        CheckChecks: cls.speaks_http and "check" in does,
        OAuthChecks: cls.speaks_http and manifest.oauth is not None,
        PagingChecks: cls.speaks_http and cls.repeated_page is not None,
        SocketChecks: not cls.speaks_http,
    }
    return [name for checks, wanted in applies.items() if not wanted for name in vars(checks) if name[:5] == "test_"]
