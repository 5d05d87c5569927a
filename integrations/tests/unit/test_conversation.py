"""What a conversation says of an error at its deadline."""

from __future__ import annotations

import smtplib
import socket
import ssl
from time import monotonic

from integrations.transport.tcp import Conversation


def test_an_error_at_the_deadline_is_a_timeout_before_the_watchdog_has_noticed() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Conversation(ours, "mail.example.com", "plain", monotonic() + 60, ssl.create_default_context()) as it:
        error = smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        assert it.failure(error).code == "connection_reset"
        it._deadline = monotonic()  # the watchdog sleeps on
        assert it.failure(error).code == "timeout"
