"""Mail out: on a real SMTP server, and on scripted ones that do what real ones should not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from integrations.connectors.kinds.email import EmailConnector
from integrations.connectors.kinds.email.connector import MAX_RECIPIENTS, PATIENCE
from integrations.connectors.port import Binding, Envelope, Receipt
from integrations.connectors.tests.fixtures import HOST
from integrations.connectors.tests.smtp_server import PASSWORD, USER, SmtpServer
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationBlocked,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.tests.effort import waiting
from integrations.tests.scripted_server import ANY, HANG, RESET, Drip, Endless, ScriptedServer
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.guarded_client import GuardedClient

PAYLOAD = {
    "event_type": "workitem_created",
    "workitem": {"id": 7, "reference_id": "RMA-7", "description": "Zwölf\r\nBcc: evil@example.com", "status": "New"},
    "changes": {"status": {"old": "New", "new": "Done"}},
}
BODY = json.dumps(PAYLOAD, ensure_ascii=False).encode()
ENVELOPE = Envelope("workitem_created", "evt_1", BODY, sequence=5)
LIMIT = 0.5  # seconds; the deadline in tests of slowness

Clients = Callable[..., GuardedClient]


def settings(port: int, security: str = "tls", **more: Any) -> dict[str, Any]:
    return {
        "smtp_host": HOST,
        "smtp_port": port,
        "smtp_security": security,
        "username": USER,
        "password": PASSWORD,
        "sender": "outbox@example.com",
        "recipients": ["jane@example.com", "joe@example.org"],
        **more,
    }


def connector(client: GuardedClient, port: int, security: str = "tls", timeout: float = 10, **more: Any) -> Any:
    return EmailConnector.bound_to(settings(port, security, **more), client, timeout=timeout)


def failure(mail: Any, envelope: Envelope = ENVELOPE) -> Any:
    """Return the error of a delivery, having looked for leaks."""
    with pytest.raises(IntegrationError) as caught:
        mail.deliver(envelope)
    error = caught.value
    assert PASSWORD not in f"{error!r} {error.args} {vars(error)}"
    assert error.__cause__ is None and error.__context__ is None
    frames = [entry.frame for entry in caught.traceback if "/integrations/transport/" in str(entry.path)]
    assert PASSWORD not in "".join(repr(frame.f_locals) for frame in frames)
    return error


# -- what arrives -------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["tls", "starttls", "plain"])
def test_a_mail_for_an_event(client_for: Clients, request: pytest.FixtureRequest, security: str) -> None:
    server: SmtpServer = request.getfixturevalue(f"smtp_{security}")
    receipt = connector(client_for(server.port), server.port, security).deliver(ENVELOPE)
    (mail,) = server.mails
    assert server.logins == [(USER.encode(), PASSWORD.encode())]
    assert (mail.sender, mail.recipients) == ("outbox@example.com", ["jane@example.com", "joe@example.org"])
    assert receipt == Receipt(
        excerpt="250 2.0.0 queued as 7", external_id="<evt_1@example.com>", details={"accepted": 2, "refused": 0}
    )
    message = mail.message
    assert message["Message-ID"] == "<evt_1@example.com>"
    assert message["Subject"] == "Workitem created: RMA-7"
    assert message["Auto-Submitted"] == "auto-generated"
    assert (message["Webhook-Id"], message["Webhook-Event"], message["Webhook-Sequence"]) == (
        "evt_1",
        "workitem_created",
        "5",
    )
    assert message["Date"].datetime.tzinfo is not None
    assert message["Bcc"] is None
    text = message.get_body().get_content()
    assert "Zwölf" in text and "Status: New → Done" in text
    (attachment,) = message.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content_type()) == ("evt_1.json", "application/json")
    assert attachment.get_payload(decode=True) == BODY
    assert mail.content.isascii()


def test_every_attempt_has_the_same_message_id(client_for: Clients, smtp_tls: SmtpServer) -> None:
    mail = connector(client_for(smtp_tls.port), smtp_tls.port)
    for attempt in (1, 2):
        mail.deliver(Envelope("workitem_created", "evt_1", BODY, attempt=attempt))
    assert [received.message["Message-ID"] for received in smtp_tls.mails] == ["<evt_1@example.com>"] * 2


@pytest.mark.parametrize(
    ("key", "pattern", "name"),
    [
        ("evt_1\r\nBcc: evil@example.com", "{workitem.description}", "Evil\r\nBcc: evil@example.com"),
        ("../../evil@x>", "\N{SNOWMAN}" * 300 + "{workitem.nothing}", "ünsere Firma"),
        ("k" * 300, "{event_type.__class__} {workitem[id]} {0}", ""),
        ("evt_2", "a" * 2000, '"quoted" <x@y>'),
    ],
)
def test_nothing_becomes_another_header(
    client_for: Clients, smtp_tls: SmtpServer, key: str, pattern: str, name: str
) -> None:
    unchecked = Binding.from_settings(
        EmailConnector.manifest, settings(smtp_tls.port, subject=pattern, sender_name=name)
    )
    mail = EmailConnector(unchecked, client_for(smtp_tls.port))
    mail.deliver(Envelope("workitem\r\nBcc: evil@example.com", key, BODY))
    (received,) = smtp_tls.mails
    message = received.message
    assert sorted(map(str.lower, message.keys())) == [
        "auto-submitted",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
        "webhook-event",
        "webhook-id",
        "webhook-sequence",
        "x-auto-response-suppress",
    ]
    assert len(message["Subject"]) <= 200 and not message.defects
    assert message["From"].addresses[0].addr_spec == "outbox@example.com"
    assert message["Message-ID"].endswith("@example.com>")
    assert max(map(len, received.content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"not json",
        b'{"a":' + b"[" * 3000,
        b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"workitem": "\\ud800"}',
    ],
)
def test_any_payload_is_a_mail(client_for: Clients, smtp_tls: SmtpServer, body: bytes) -> None:
    connector(client_for(smtp_tls.port), smtp_tls.port).deliver(Envelope("odd", "evt_3", body))
    (attachment,) = smtp_tls.mails[0].message.iter_attachments()
    assert attachment.get_payload(decode=True) == body


def test_dots_and_long_lines_survive(client_for: Clients, smtp_tls: SmtpServer) -> None:
    body = json.dumps({"workitem": {"description": ".\r\n..\r\n.\r\nFrom me " + "x" * 5000}}).encode()
    connector(client_for(smtp_tls.port), smtp_tls.port).deliver(Envelope("odd", "evt_4", body))
    (attachment,) = smtp_tls.mails[0].message.iter_attachments()
    assert attachment.get_payload(decode=True) == body


def test_an_order_is_a_mail_too(client_for: Clients, smtp_tls: SmtpServer) -> None:
    mail = EmailConnector(client=client_for(smtp_tls.port))
    result = mail.bound_to(settings(smtp_tls.port), client_for(smtp_tls.port)).deliver(
        Envelope("order_push", "ord_1", b'{"event_type":"order_push","order":{"id":7}}')
    )
    assert result.external_id == "<ord_1@example.com>"
    assert smtp_tls.mails[0].message["Subject"] == "Order push: 7"


# -- what a server refuses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "reply", "expected"),
    [
        ("MAIL", "451 4.3.0 try later", IntegrationTemporaryError),
        ("MAIL", "421 4.3.2 shutting down", IntegrationTemporaryError),
        ("MAIL", "534 5.7.9 use an app password", IntegrationAuthError),
        ("MAIL", "550 5.7.1 not you", IntegrationPermanentError),
        ("DATA", "452 4.3.1 no space", IntegrationTemporaryError),
        ("DATA", "552 5.3.4 too big", IntegrationPermanentError),
        ("DATA", "554 5.7.1 looks like spam", IntegrationPermanentError),
    ],
)
def test_refusals(client_for: Clients, smtp_tls: SmtpServer, at: str, reply: str, expected: type) -> None:
    smtp_tls.replies[at] = f"{reply} {PASSWORD.encode()!r}"
    error = failure(connector(client_for(smtp_tls.port), smtp_tls.port))
    assert type(error) is expected
    assert error.code == f"smtp_{reply[:3]}"
    assert error.excerpt.startswith(reply)
    assert error.was_sent is False


def test_wrong_password(client_for: Clients, smtp_tls: SmtpServer) -> None:
    mail = connector(client_for(smtp_tls.port), smtp_tls.port, password="wrong")
    error = failure(mail)
    assert type(error) is IntegrationAuthError
    assert error.code == "smtp_535"
    assert len(smtp_tls.logins) == 1  # one try: a second would bring a lock-out nearer
    assert mail.health_check().is_auth_failure


def test_login_missing(client_for: Clients, smtp_tls: SmtpServer) -> None:
    error = failure(connector(client_for(smtp_tls.port), smtp_tls.port, username="", password=""))
    assert (type(error), error.code) == (IntegrationAuthError, "smtp_530")


def test_some_recipients_refused_for_good(client_for: Clients, smtp_tls: SmtpServer) -> None:
    smtp_tls.replies["joe@example.org"] = "550 5.1.1 unknown"
    receipt = connector(client_for(smtp_tls.port), smtp_tls.port).deliver(ENVELOPE)
    assert receipt.details == {"accepted": 1, "refused": 1}
    assert smtp_tls.mails[0].recipients == ["jane@example.com"]


def test_some_recipients_refused_for_now(client_for: Clients, smtp_tls: SmtpServer) -> None:
    smtp_tls.replies["joe@example.org"] = "450 4.2.0 greylisted"
    mail = connector(client_for(smtp_tls.port), smtp_tls.port)
    error = failure(mail)
    assert type(error) is IntegrationTemporaryError
    assert "1 of 2 recipients" in error.message and "joe@example.org (450 4.2.0 greylisted)" in error.message
    assert (error.fault, error.progress) == ("event", {"taken": ["jane@example.com"]})
    assert [received.recipients for received in smtp_tls.mails] == [["jane@example.com"]]  # at once
    smtp_tls.replies.clear()
    again = Envelope("workitem_created", "evt_1", BODY, attempt=2, progress=error.progress)
    assert mail.deliver(again).details == {"accepted": 2, "refused": 0}
    assert smtp_tls.mails[-1].recipients == ["joe@example.org"]  # alone: the other one has it


def test_who_is_refused_for_now_to_the_end_is_named(client_for: Clients, smtp_tls: SmtpServer) -> None:
    smtp_tls.replies["joe@example.org"] = "452 4.2.2 mailbox full"
    mail, progress = connector(client_for(smtp_tls.port), smtp_tls.port), {"taken": ["jane@example.com"]}
    late = Envelope("workitem_created", "evt_1", BODY, attempt=PATIENCE + 1, progress=progress)
    receipt = mail.deliver(late)
    assert receipt.details == {"accepted": 1, "refused": 1} and not smtp_tls.mails
    assert receipt.remark == "Not taken for joe@example.org (452 4.2.2 mailbox full)"
    soon = Envelope("workitem_created", "evt_1", BODY, attempt=2, progress=progress)
    error = failure(mail, soon)
    assert type(error) is IntegrationTemporaryError and (error.fault, error.progress) == ("event", {})


def test_an_outage_costs_nobody_the_patience_of_the_server(client_for: Clients, smtp_tls: SmtpServer) -> None:
    """The attempts before the first mail was taken were about the server, and not about a recipient."""
    smtp_tls.replies["joe@example.org"] = "450 4.2.0 greylisted"
    mail = connector(client_for(smtp_tls.port), smtp_tls.port)
    first = PATIENCE + 3
    error = failure(mail, Envelope("workitem_created", "evt_1", BODY, attempt=first))
    assert (error.fault, error.progress) == ("event", {"taken": ["jane@example.com"], "since": first})
    for attempt in (first + 1, first + PATIENCE - 1, 1):  # 1: retried by hand
        late = Envelope("workitem_created", "evt_1", BODY, attempt=attempt, progress=error.progress)
        assert type(failure(mail, late)) is IntegrationTemporaryError
    last = Envelope("workitem_created", "evt_1", BODY, attempt=first + PATIENCE, progress=error.progress)
    assert mail.deliver(last).remark == "Not taken for joe@example.org (450 4.2.0 greylisted)"


def people(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(count)]


@pytest.mark.parametrize("reply", ["452 4.5.3 too many recipients", "452 too many", "550 5.5.3 too many recipients"])
def test_a_server_that_takes_ten_recipients_gets_several_mails(
    client_for: Clients, smtp_tls: SmtpServer, reply: str
) -> None:
    smtp_tls.most, smtp_tls.too_many = 10, reply
    receipt = connector(client_for(smtp_tls.port), smtp_tls.port, recipients=people(25)).deliver(ENVELOPE)
    assert [len(received.recipients) for received in smtp_tls.mails] == [10, 10, 5]
    assert sorted(who for received in smtp_tls.mails for who in received.recipients) == sorted(people(25))
    assert receipt.details == {"accepted": 25, "refused": 0} and receipt.remark == ""
    assert len(smtp_tls.logins) == 1  # one session


def test_a_server_that_says_so_after_the_mail_gets_smaller_ones(client_for: Clients, smtp_tls: SmtpServer) -> None:
    smtp_tls.most_at_the_end = 3
    receipt = connector(client_for(smtp_tls.port), smtp_tls.port, recipients=people(8)).deliver(ENVELOPE)
    assert sorted(who for received in smtp_tls.mails for who in received.recipients) == people(8)
    assert max(len(received.recipients) for received in smtp_tls.mails) <= 3
    assert receipt.details == {"accepted": 8, "refused": 0}


def test_a_session_that_breaks_off_says_who_has_it(client_for: Clients, smtp_tls: SmtpServer) -> None:
    smtp_tls.most, smtp_tls.too_many = 10, "452 4.5.3 too many recipients"
    smtp_tls.replies["person12@example.com"] = "421 4.3.2 shutting down"
    mail = connector(client_for(smtp_tls.port), smtp_tls.port, recipients=people(15))
    with pytest.raises(IntegrationTemporaryError) as caught:
        mail.deliver(ENVELOPE)
    taken = [address for received in smtp_tls.mails for address in received.recipients]
    assert caught.value.progress == {"taken": taken} and people(10) == taken[:10]


@pytest.mark.parametrize(
    ("at", "reply", "fault", "says"),
    [
        ("DATA", "550 5.4.5 Daily user sending quota exceeded", "quota", "as much as it may"),
        ("MAIL", "454 Throttling failure: Daily message quota exceeded", "quota", "as much as it may"),
        ("RCPT", "550 5.4.5 Daily SMTP relay limit exceeded for user", "quota", "as much as it may"),
        ("RCPT", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "setup", "check Sender"),
        ("DATA", "554 5.2.252 SendAsDenied; not allowed to send as", "setup", "check Sender"),
        ("RCPT", "554 5.7.1 <jane@example.com>: Relay access denied", "setup", "does not relay"),
        ("RCPT", "550 relay not permitted", "setup", "does not relay"),
        ("RCPT", "550 5.7.57 Client was not authenticated to send mail", "setup", "does not relay"),
        ("MAIL", "550 5.1.8 Access denied, bad outbound sender", "setup", "ask the provider"),
        ("MAIL", "553 5.1.7 invalid address", "setup", "check Sender"),
        ("MAIL", "550 no such sender here", "setup", "check Sender"),
        ("DATA", "550 5.7.26 unauthenticated mail is prohibited", "setup", "SPF"),
        ("RCPT", "550 5.1.1 user unknown", "setup", "check Recipients"),
        ("MAIL", "552 5.3.4 message size exceeds the limit", "event", "too large"),
        ("DATA", "554 5.7.1 looks like spam", "event", "answered 554"),
        ("DATA", "550 5.6.0 bad headers", "event", "answered 550"),
        ("RCPT", "450 4.2.0 greylisted", "event", "2 of 2 recipients"),
        ("RCPT", "451 4.3.0 no storage", "destination", "2 of 2 recipients"),
        ("MAIL", "451 4.3.0 try later", "destination", "answered 451"),
    ],
)
def test_whose_fault_a_refusal_is(
    client_for: Clients, smtp_tls: SmtpServer, at: str, reply: str, fault: str, says: str
) -> None:
    both = ("jane@example.com", "joe@example.org")
    smtp_tls.replies |= dict.fromkeys(both, reply) if at == "RCPT" else {at: reply}
    error = failure(connector(client_for(smtp_tls.port), smtp_tls.port))
    assert (error.fault, error.code) == (fault, f"smtp_{reply[:3]}") and says in error.message
    if "Daily" in reply:
        assert error.retry_after == 86400


@pytest.mark.parametrize(
    ("second", "expected"), [("550 no", IntegrationPermanentError), ("450 later", IntegrationTemporaryError)]
)
def test_all_recipients_refused(client_for: Clients, smtp_tls: SmtpServer, second: str, expected: type) -> None:
    smtp_tls.replies |= {"jane@example.com": "550 5.1.1 unknown", "joe@example.org": second}
    envelope = Envelope("workitem_created", "evt_1", BODY, attempt=PATIENCE + 1)
    error = failure(connector(client_for(smtp_tls.port), smtp_tls.port), envelope)
    assert type(error) is expected
    assert "2 of 2 recipients" in error.message
    assert not smtp_tls.mails


# -- TLS ------------------------------------------------------------------------------------------------


def test_certificate_of_another_host(client_for: Clients, smtp_tls: SmtpServer) -> None:
    client = client_for(smtp_tls.port, host="other.example.com")
    error = failure(connector(client, smtp_tls.port, smtp_host="other.example.com"))
    assert (error.code, error.was_sent) == ("tls_failed", False)
    assert "certificate" in error.message
    assert not smtp_tls.logins


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_unknown_authority(client_for: Clients, request: pytest.FixtureRequest, security: str) -> None:
    server: SmtpServer = request.getfixturevalue(f"smtp_{security}")
    error = failure(connector(client_for(server.port, ca_bundle=""), server.port, security))
    assert (error.code, error.was_sent) == ("tls_failed", False)
    assert not server.logins


@pytest.mark.parametrize(
    "script",
    [
        [b"220 hi\r\n", ANY, b"250-hi\r\n250 AUTH PLAIN\r\n", HANG],  # stripped
        [b"220 hi\r\n", ANY, b"250 STARTTLS\r\n", ANY, b"454 not now\r\n", HANG],
        [b"220 hi\r\n", ANY, b"250-hi\r\n250 STARTTLS\r\n", ANY, b"454 not now\r\n", HANG],
        [
            b"220 hi\r\n",
            ANY,
            b"250-hi\r\n250 STARTTLS\r\n",
            ANY,
            b"220 go\r\n250 AUTH PLAIN\r\n",
            ANY,
            b"250 injected\r\n",
        ],
    ],
)
def test_without_tls_nothing_is_sent(client_for: Clients, script: list[Any]) -> None:
    heard: list[bytes] = []
    with Eavesdropper(heard, script) as server:
        error = failure(connector(client_for(server.port), server.port, "starttls", timeout=3))
    assert type(error) is IntegrationTemporaryError
    assert (error.code, error.was_sent) == ("tls_failed", False)
    assert not any(b"AUTH" in line or b"MAIL" in line for line in heard)


def test_plain_only_where_the_operator_opened_it(smtp_plain: SmtpServer) -> None:
    policy = AddressPolicy(allowed_networks=("127.0.0.0/8",))
    client = GuardedClient(policy, resolve=lambda *asked: ["127.0.0.1"])
    error = failure(connector(client, smtp_plain.port, "plain"))
    assert (type(error), error.reason) == (IntegrationBlocked, "plain_not_allowed")
    assert not smtp_plain.logins


# -- servers that misbehave -------------------------------------------------------------------------------


class Eavesdropper(ScriptedServer):
    """Keeps what it hears."""

    def __init__(self, heard: list[bytes], *scripts: Any, **options: Any) -> None:
        super().__init__(*scripts, **options)
        self._heard = heard

    def _step(self, sock: Any, step: Any) -> bool:
        if step != ANY:
            return super()._step(sock, step)
        data = sock.recv(65536)
        self._heard.append(data)
        return bool(data)


TALK = [b"220 hi\r\n", ANY, b"250-hi\r\n250 AUTH PLAIN\r\n", ANY, b"235 in\r\n", ANY, b"250 ok\r\n"]
TO_DATA = [*TALK, ANY, b"250 ok\r\n", ANY, b"250 ok\r\n", ANY, b"354 go\r\n"]


@pytest.mark.parametrize(
    ("script", "was_sent"),
    [
        ([HANG], False),
        ([Drip(b"220-" + b"x" * 10000)], False),
        ([b"220 hi\r\n", ANY, Drip(b"250-hi\r\n" * 1000, 0.05)], False),
        ([*TALK, HANG], False),
        ([*TO_DATA, ANY, HANG], True),
    ],
)
def test_a_slow_server_ends_at_the_deadline(
    client_for: Clients, monkeypatch: pytest.MonkeyPatch, script: list[Any], was_sent: bool
) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with ScriptedServer(script) as server:
        mail = connector(client_for(server.port), server.port, "plain", timeout=LIMIT)
        with waiting() as waited:
            error = failure(mail)
        assert waited.seconds < LIMIT + 1
    assert (type(error), error.code, error.was_sent) == (IntegrationTemporaryError, "timeout", was_sent)


@pytest.mark.parametrize(
    ("script", "code", "was_sent"),
    [
        ([], "connection_reset", False),
        ([b"220 hi\r\n", ANY, RESET], "connection_reset", False),
        ([*TALK], "connection_reset", False),
        ([*TO_DATA, ANY], "connection_reset", True),
        ([b"554 5.7.1 go away\r\n"], "smtp_554", False),
        ([b"220 hi\r\n", ANY, b"502 what?\r\n", ANY, b"502 what?\r\n"], "smtp_502", False),
        ([b"SSH-2.0-OpenSSH_9\r\n", HANG], "bad_response", False),
        ([b"220 hi\r\n", ANY, b"\xff\xfe\0 what\r\n", HANG], "bad_response", False),
        ([b"220 " + b"x" * 100_000, HANG], "bad_response", False),
        ([Endless(b"220-" + b"x" * 500 + b"\r\n")], "connection_reset", False),
    ],
)
def test_broken_conversations(client_for: Clients, script: list[Any], code: str, was_sent: bool) -> None:
    with ScriptedServer(script) as server:
        error = failure(connector(client_for(server.port), server.port, "plain", timeout=5))
    assert (type(error), error.code, error.was_sent) == (IntegrationTemporaryError, code, was_sent)


@pytest.mark.parametrize("end", [HANG, RESET, b"500 what?\r\n"])
def test_what_comes_after_the_mail_was_taken_changes_nothing(client_for: Clients, end: Any) -> None:
    with ScriptedServer([*TO_DATA, ANY, b"250 taken\r\n", ANY, end]) as server:
        mail = connector(client_for(server.port), server.port, "plain", timeout=5, recipients=["jane@example.com"])
        assert mail.deliver(ENVELOPE).details["accepted"] == 1


NAME, WORD, WHOLE = (base64.b64encode(text.encode()).decode() for text in (USER, PASSWORD, f"\0{USER}\0{PASSWORD}"))


def talk_of(offered: str, *answers: str) -> list[Any]:
    """A server's part: a greeting, what it offers, its answers to the login, and then whatever a mail needs."""
    login = [step for answer in answers for step in (ANY, f"{answer}\r\n".encode())]
    return [b"220 hi\r\n", ANY, f"250-hi\r\n250 AUTH {offered}\r\n".encode(), *login, ANY, b"550 no\r\n", HANG]


@pytest.mark.parametrize(
    ("offered", "answers", "said"),
    [
        ("LOGIN", ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 in"], ["AUTH LOGIN", NAME, WORD]),
        ("PLAIN LOGIN", ["235 in"], [f"AUTH PLAIN {WHOLE}"]),
        (
            "PLAIN LOGIN",
            ["504 5.5.4 unrecognized", "334 x", "334 x", "235 in"],
            [f"AUTH PLAIN {WHOLE}", "AUTH LOGIN", NAME, WORD],
        ),
        (
            "LOGIN PLAIN",
            ["501 5.5.2 bad", "334 x", "334 x", "235 in"],
            [f"AUTH PLAIN {WHOLE}", "AUTH LOGIN", NAME, WORD],
        ),
        ("PLAIN", ["334 ", "235 in"], [f"AUTH PLAIN {WHOLE}", WHOLE]),
        ("PLAIN", ["501 no argument", "334 ", "235 in"], [f"AUTH PLAIN {WHOLE}", "AUTH PLAIN", WHOLE]),
    ],
)
def test_a_login_as_mail_programs_do_it(client_for: Clients, offered: str, answers: list[str], said: list[str]) -> None:
    heard: list[bytes] = []
    with Eavesdropper(heard, talk_of(offered, *answers)) as server:
        error = failure(connector(client_for(server.port), server.port, "plain"))
    assert [line.decode().strip() for line in heard[1:-1]] == said
    assert heard[-1].startswith(b"mail FROM:") and error.code == "smtp_550"  # it was let in


@pytest.mark.parametrize("code", [500, 501, 502, 503, 504])
def test_a_login_that_is_not_understood_is_no_wrong_password(client_for: Clients, code: int) -> None:
    with ScriptedServer(talk_of("PLAIN LOGIN", *[f"{code} what?"] * 3)) as server:
        error = failure(connector(client_for(server.port), server.port, "plain"))
    assert (type(error), error.code) == (IntegrationTemporaryError, f"smtp_{code}")
    assert "without checking a password" in error.message and "check user name" not in error.message


@pytest.mark.parametrize("offered", ["LOGIN", "PLAIN LOGIN"])
@pytest.mark.parametrize("reply", ["535 5.7.8 no", "534 5.7.9 use an app password", "538 5.7.11 encrypt"])
def test_a_refused_password_is_tried_once(client_for: Clients, offered: str, reply: str) -> None:
    heard: list[bytes] = []
    answers = [reply] if "PLAIN" in offered else ["334 x", "334 x", reply]
    with Eavesdropper(heard, talk_of(offered, *answers)) as server:
        error = failure(connector(client_for(server.port), server.port, "plain"))
    assert (type(error), len([*filter(None, heard)])) == (IntegrationAuthError, 1 + len(answers))


@pytest.mark.parametrize(
    ("configured", "name"),
    [
        ({"PUBLIC_URL": "https://app.example.com:8443/x"}, "app.example.com"),
        ({"PUBLIC_URL": "https://app.example.com", "SMTP_EHLO_NAME": "mail.example.org"}, "mail.example.org"),
        ({"PUBLIC_URL": "http://localhost:8000"}, "[127.0.0.1]"),
        ({"PUBLIC_URL": "http://192.0.2.7"}, "[127.0.0.1]"),
        ({"SMTP_EHLO_NAME": "a\r\nMAIL FROM:<x@y.z>"}, "[127.0.0.1]"),
        ({}, "[127.0.0.1]"),
    ],
)
def test_how_we_greet(client_for: Clients, settings: Any, configured: dict[str, str], name: str) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "PUBLIC_URL": "", **configured}
    heard: list[bytes] = []
    with Eavesdropper(heard, [b"220 hi\r\n", ANY, b"421 bye\r\n"]) as server:
        failure(connector(client_for(server.port), server.port, "plain"))
    assert heard == [f"ehlo {name}\r\n".encode()]


def test_a_server_without_extensions_takes_mail(client_for: Clients) -> None:
    script = [b"220 hi\r\n", ANY, b"500 what?\r\n", ANY, b"250 hi\r\n"]
    script += [step for answer in (b"250", b"250", b"354", b"250") for step in (ANY, answer + b" ok\r\n")]
    with ScriptedServer(script) as server:
        mail = connector(client_for(server.port), server.port, "plain", username="", recipients=["jane@example.com"])
        assert mail.deliver(ENVELOPE).details["accepted"] == 1


def test_no_login_is_offered(client_for: Clients) -> None:
    with ScriptedServer([b"220 hi\r\n", ANY, b"250-hi\r\n250 AUTH NTLM\r\n", HANG]) as server:
        error = failure(connector(client_for(server.port), server.port, "plain"))
    assert type(error) is IntegrationAuthError


# -- the guard ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", 465, "ip_blocked"),
        ("mail.corp", 465, "host_blocked_name"),
        ("mailhost", 465, "host_single_label"),
        ("169.254.169.254", 465, "ip_metadata"),
        ("mail.example.com", 443, "port_unusual"),
        ("mail.example.com", 6379, "port_unusual"),
        ("own.example.com", 465, "self_target"),
    ],
)
def test_private_addresses_are_refused(host: str, port: int, reason: str) -> None:
    client = GuardedClient(AddressPolicy(own_hosts=("own.example.com",)), resolve=lambda *asked: ["192.0.2.1"])
    error = failure(connector(client, port, smtp_host=host))
    assert (type(error), error.reason) == (IntegrationBlocked, reason)


def test_a_name_is_resolved_once_and_every_answer_checked(smtp_tls: SmtpServer) -> None:
    answers = iter([["93.184.216.34", "10.0.0.9"]])
    client = GuardedClient(AddressPolicy(), resolve=lambda *asked: next(answers))
    error = failure(connector(client, 465))
    assert (type(error), error.reason) == (IntegrationBlocked, "ip_blocked")


def test_a_name_that_changes_its_address_is_not_asked_again(client_for: Clients, smtp_starttls: SmtpServer) -> None:
    answers = iter([["127.0.0.1"]])  # a second question would fail
    client = client_for(smtp_starttls.port, resolve=lambda *asked: next(answers))
    connector(client, smtp_starttls.port, "starttls").deliver(ENVELOPE)
    assert len(smtp_starttls.mails) == 1


# -- configuration and check --------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_check(client_for: Clients, request: pytest.FixtureRequest, security: str) -> None:
    server: SmtpServer = request.getfixturevalue(f"smtp_{security}")
    result = EmailConnector(client=client_for(server.port)).test_connection(settings(server.port, security))
    assert result.success, result
    assert server.logins and not server.mails


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sender", "jane@example.com\r\nBcc: x@y.z"),
        ("sender", "Jane <jane@example.com>"),
        ("recipients", "jane@example.com\nnobody"),
        ("recipients", "jane@example.com, joe@example.com"),
        ("recipients", ""),
        ("recipients", "a..b@example.com"),
        ("username", "a\rb"),
        ("subject", "a\nb"),
        ("smtp_security", "none"),
        ("smtp_port", 70000),
        ("smtp_host", "exa mple.com"),
    ],
)
def test_bad_settings(field: str, value: Any) -> None:
    assert list(EmailConnector.validate_config(settings(465, **{field: value}))) == [field]


def test_too_many_recipients(client_for: Clients) -> None:
    many = [f"user{number}@example.com" for number in range(MAX_RECIPIENTS + 1)]
    assert type(failure(connector(client_for(465), 465, recipients=many))) is ConfigurationError


def test_no_secret_anywhere(client_for: Clients, smtp_tls: SmtpServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    mail = connector(client_for(smtp_tls.port), smtp_tls.port)
    seen = [mail, mail.binding, mail.deliver(ENVELOPE), mail.health_check()]
    smtp_tls.replies["DATA"] = f"554 you said {PASSWORD}".encode().decode("latin-1")
    seen.append(vars(failure(mail)))
    logged = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("mail."))
    assert PASSWORD not in "".join(map(repr, seen)) + logged


def test_a_quota_that_is_used_up_between_two_recipients_refuses_nobody_for_good(
    client_for: Clients, smtp_tls: SmtpServer
) -> None:
    smtp_tls.replies["joe@example.org"] = "550 5.4.5 Daily user sending quota exceeded"
    mail = connector(client_for(smtp_tls.port), smtp_tls.port)
    error = failure(mail)
    assert type(error) is IntegrationTemporaryError and error.progress == {"taken": ["jane@example.com"]}
    again = failure(mail, Envelope("workitem_created", "evt_1", BODY, attempt=2, progress=error.progress))
    assert (again.fault, again.retry_after) == ("quota", 86400)
