"""How a system calls us back: where its signature stands, with which secrets, and what its webhooks say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from . import inbound_answers
from .configured import Configured
from .inbound_answers import Answer
from .incoming import WebhookDTO, parse
from .manifest import Inbound


class Receiving(Configured):
    """The part of BaseConnector that reads webhooks; their signatures are verified before (inbound/schemes.py)."""

    @property
    def inbound(self) -> Inbound | None:
        """How this system calls us back; a kind whose tenants choose overrides it with what they chose."""
        return self.manifest.inbound

    takes_only_actions: ClassVar[bool] = False  # True: whoever calls back must name an inbound action

    def inbound_secrets(self) -> tuple[str, ...]:
        """Return the secrets that prove a webhook to us, newest first; none: nothing is accepted."""
        inbound = self.inbound
        found = self.settings.get(inbound.secret_field) if inbound else None
        return tuple(line for line in found.splitlines() if line.strip()) if isinstance(found, str) else ()

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookDTO:
        """Return what a delivery says; its signature is proven.

        Raises:
            ValueError: it is not what this system sends.
        """
        return parse(self.inbound, headers, body)

    def is_trial(self, body: bytes) -> bool:
        """Whether this is how the system tries an address when a webhook is saved there, without signing.

        Such a request is answered 200, or people would see an error there; nothing is stored, nothing is done.
        """
        return False

    def handshake(self, dto: WebhookDTO) -> Answer | None:
        """Return the answer to a *signed* trial of the address, which is not stored; None: it is a delivery."""
        answer = inbound_answers.HANDSHAKES.get(self.inbound.scheme) if self.inbound else None
        return answer(dto.payload) if answer else None

    def answer(self, status: str) -> Answer:
        """Return what the sender reads whose webhook is dealt with.

        Args:
            status: ``received``; ``duplicate``, it had come before; ``ping``, it was a trial (`is_trial`).
        """
        scheme = self.inbound.scheme if self.inbound else ""
        return inbound_answers.STORED.get(scheme) or Answer({"status": status})
