"""A real SMTP server (aiosmtpd) on loopback that records mails and refuses what it is told to."""

from __future__ import annotations

import email
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from .ordinary_process import free_port

USER, PASSWORD = "outbox", "smtp-canary-pässword"


@dataclass
class Received:
    """One mail as it arrived."""

    sender: str
    recipients: list[str]
    content: bytes = field(repr=False)

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.content, policy=default)  # type: ignore[return-value]


class SmtpServer:
    """Speaks TLS from the first byte, or after STARTTLS, or not at all.

    Attributes:
        replies: what to answer instead of "250 OK": to ``MAIL``, ``DATA``, ``EHLO``, or to an address as recipient.
        wants_login: mails are refused (530) without one.
        most: recipients of one mail; the next ones are answered `too_many`.
        most_at_the_end: the same, said after the mail.
    """

    def __init__(self, security: str, tls: ssl.SSLContext | None, *, wants_login: bool = True) -> None:
        self.security = security
        self.mails: list[Received] = []
        self.replies: dict[str, str] = {}
        self.most, self.too_many, self.most_at_the_end = 1000, "452 4.5.3 too many recipients", 1000
        self.wants_login = wants_login
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = free_port()
        self.netloc = f"127.0.0.1:{self.port}"
        starttls = {"tls_context": tls, "require_starttls": True} if security == "starttls" else {}
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=tls if security == "tls" else None,
            authenticator=self._authenticate,
            auth_require_tls=False,
            **starttls,
        )

    def __enter__(self) -> SmtpServer:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._controller.stop()

    def reset(self) -> None:
        self.mails.clear()
        self.replies.clear()
        self.logins.clear()
        self.most = self.most_at_the_end = 1000
        self.wants_login = True

    # -- for aiosmtpd ---------------------------------------------------------------------------------

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        fits = (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
        return AuthResult(success=fits, handled=False)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.wants_login and not session.authenticated:
            return "530 5.7.0 Authentication required"
        if "MAIL" in self.replies:
            return self.replies["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        reply = self.too_many if len(envelope.rcpt_tos) >= self.most else self.replies.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if "DATA" in self.replies:
            return self.replies["DATA"]
        if len(envelope.rcpt_tos) > self.most_at_the_end:
            return "452 4.5.3 too many recipients"
        self.mails.append(Received(envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        return "250 2.0.0 queued as 7"
