"""Mail in: from a real Dovecot, from scripted servers that misbehave, and mails that nobody should send."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from integrations.connectors.kinds.email import EmailConnector
from integrations.connectors.kinds.email.connector import MailPage
from integrations.connectors.kinds.email.read import Mail, read
from integrations.connectors.port import Binding
from integrations.connectors.tests.dovecot import Dovecot
from integrations.connectors.tests.fixtures import HOST
from integrations.connectors.tests.smtp_server import SmtpServer
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationBlocked,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.tests.effort import computing, waiting
from integrations.tests.scripted_server import ANY, HANG, Drip, Endless, ScriptedServer
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.mail import imap
from integrations.transport.mail.imap import RawMail

LIMIT = 0.5  # seconds; the deadline in tests of slowness

Clients = Callable[..., GuardedClient]


def mailbox(client: GuardedClient, port: int, security: str = "tls", timeout: float = 10, **more: Any) -> Any:
    settings = {
        "smtp_host": HOST,
        "sender": "outbox@example.com",
        "recipients": ["jane@example.com"],
        "username": Dovecot.user,
        "password": Dovecot.password,
        "imap_host": HOST,
        "imap_port": port,
        "imap_security": security,
        **more,
    }
    return EmailConnector.bound_to(settings, client, timeout=timeout)


def failure(mail: Any, *cursor: str) -> Any:
    with pytest.raises(IntegrationError) as caught:
        mail.fetch(*cursor)
    error = caught.value
    assert Dovecot.password not in f"{error!r} {error.args} {vars(error)}"
    assert error.__cause__ is None and error.__context__ is None
    frames = [entry.frame for entry in caught.traceback if "/integrations/transport/" in str(entry.path)]
    assert Dovecot.password not in "".join(repr(frame.f_locals) for frame in frames)
    return error


def mail_of(number: int, size: int = 0) -> bytes:
    return (
        b"Message-ID: <%d@x>\r\nSubject: mail %d\r\nFrom: j@x.de\r\n\r\nhello\r\n" % (number, number) + b"x\r\n" * size
    )


def subjects(page: MailPage) -> list[str]:
    return [mail.subject for mail in page.mails]


# -- a real server ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_pages_of_new_mail(client_for: Clients, dovecot: Dovecot, security: str) -> None:
    dovecot.fill("INBOX.Paging", *map(mail_of, range(5)))
    port = dovecot.port if security == "tls" else dovecot.starttls_port
    mail = mailbox(client_for(port), port, security, imap_mailbox="INBOX.Paging")
    first = mail.fetch(limit=2)
    second = mail.fetch(first.cursor, limit=2)
    third = mail.fetch(second.cursor, limit=2)
    assert [subjects(page) for page in (first, second, third)] == [
        ["mail 0", "mail 1"],
        ["mail 2", "mail 3"],
        ["mail 4"],
    ]
    assert [page.has_more for page in (first, second, third)] == [True, True, False]
    nothing = mail.fetch(third.cursor)
    assert (nothing.mails, nothing.cursor, nothing.has_more) == ((), third.cursor, False)
    with dovecot.session() as other:
        other.append("INBOX.Paging", "", None, mail_of(5))
    assert subjects(mail.fetch(third.cursor)) == ["mail 5"]


def test_reading_marks_nothing_as_seen(client_for: Clients, dovecot: Dovecot) -> None:
    dovecot.fill("INBOX.Flags", mail_of(1))
    (read_mail,) = mailbox(client_for(dovecot.port), dovecot.port, imap_mailbox="INBOX.Flags").fetch().mails
    assert (read_mail.message_id, read_mail.text, read_mail.sender) == ("<1@x>", "hello", "j@x.de")
    with dovecot.session() as other:
        other.select("INBOX.Flags")
        assert b"Seen" not in other.fetch("1", "(FLAGS)")[1][0]


def test_a_mailbox_that_was_made_anew_is_read_from_its_beginning(client_for: Clients, dovecot: Dovecot) -> None:
    dovecot.fill("INBOX.Anew", *map(mail_of, range(3)))
    mail = mailbox(client_for(dovecot.port), dovecot.port, imap_mailbox="INBOX.Anew")
    page = mail.fetch()
    assert not page.restarted
    validity, uid = page.cursor.split(":")
    renumbered = mail.fetch(f"{int(validity) + 1}:{uid}")
    assert renumbered.restarted and renumbered.cursor == page.cursor
    assert subjects(renumbered) == subjects(page)


def test_deleted_mails_leave_holes(client_for: Clients, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "WINDOW", 3)  # stretches of numbers without a mail
    dovecot.fill("INBOX.Holes", *map(mail_of, range(20)))
    with dovecot.session() as other:
        other.select("INBOX.Holes")
        other.store("2:18", "+FLAGS", r"(\Deleted)")
        other.expunge()
    mail = mailbox(client_for(dovecot.port), dovecot.port, imap_mailbox="INBOX.Holes")
    assert subjects(mail.fetch()) == ["mail 0", "mail 18", "mail 19"]
    monkeypatch.setattr(imap, "MAX_WINDOWS", 2)
    found, page = [], mail.fetch()
    found += subjects(page)
    while page.has_more:
        page = mail.fetch(page.cursor)
        found += subjects(page)
    assert found == ["mail 0", "mail 18", "mail 19"]


def test_a_page_is_bounded_in_bytes(client_for: Clients, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "MAX_MAIL_BYTES", 10_000)
    monkeypatch.setattr(imap, "MAX_PAGE_BYTES", 15_000)
    dovecot.fill("INBOX.Large", mail_of(0, 100_000), mail_of(1, 3_000), mail_of(2))
    mail = mailbox(client_for(dovecot.port), dovecot.port, imap_mailbox="INBOX.Large")
    page = mail.fetch()
    assert subjects(page) == ["mail 0", "mail 1"] and page.has_more
    assert [mail.is_cut for mail in page.mails] == [True, False]
    assert subjects(mail.fetch(page.cursor)) == ["mail 2"]


@pytest.mark.parametrize("name", ["Entwürfe & Co", 'with "quotes" \\ and spaces', "日本語"])
def test_names_of_mailboxes(client_for: Clients, dovecot: Dovecot, name: str) -> None:
    dovecot.fill(imap.quoted(name), mail_of(1))
    assert subjects(mailbox(client_for(dovecot.port), dovecot.port, imap_mailbox=name).fetch()) == ["mail 1"]


def test_mailbox_that_does_not_exist(client_for: Clients, dovecot: Dovecot) -> None:
    error = failure(mailbox(client_for(dovecot.port), dovecot.port, imap_mailbox="Nowhere"))
    assert type(error) is ConfigurationError and "imap_mailbox" in error.problems


@pytest.mark.parametrize("login", [{"password": "wrong-pässword"}, {"imap_username": "joe", "imap_password": "wrong"}])
def test_wrong_password(client_for: Clients, dovecot: Dovecot, login: dict[str, str]) -> None:
    error = failure(mailbox(client_for(dovecot.port), dovecot.port, **login))
    assert type(error) is IntegrationAuthError
    assert "wrong" not in f"{error.message} {error.excerpt}"


def test_certificate_of_another_host(client_for: Clients, dovecot: Dovecot) -> None:
    client = client_for(dovecot.port, host="other.example.com")
    error = failure(mailbox(client, dovecot.port, imap_host="other.example.com"))
    assert (type(error), error.code) == (IntegrationTemporaryError, "tls_failed")


def test_check_looks_at_both_servers(client_for: Clients, dovecot: Dovecot, smtp_tls: SmtpServer) -> None:
    ports = {"smtp_port": smtp_tls.port, "imap_port": dovecot.port}
    settings = {
        "smtp_host": HOST,
        "sender": "outbox@example.com",
        "recipients": ["jane@example.com"],
        "imap_host": HOST,
        "imap_username": Dovecot.user,
        "imap_password": Dovecot.password,
        **ports,
    }
    client = client_for(*ports.values())
    result = EmailConnector(client=client).test_connection(settings)
    assert result.success and "mailbox" in result.message, result
    result = EmailConnector(client=client).test_connection({**settings, "imap_password": "wrong"})
    assert not result.success and result.is_auth_failure


@pytest.mark.parametrize("cursor", ["x", "1", "1:2:3", "1:99999999999", "1:-5", "١:٢"])
def test_a_cursor_that_is_none_of_ours(client_for: Clients, dovecot: Dovecot, cursor: str) -> None:
    error = failure(mailbox(client_for(dovecot.port), dovecot.port), cursor)
    assert (type(error), error.code) == (IntegrationPermanentError, "cursor")


def test_no_secret_anywhere(client_for: Clients, dovecot: Dovecot, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    dovecot.fill("INBOX.Secret", mail_of(1))
    mail = mailbox(client_for(dovecot.port), dovecot.port, imap_mailbox="INBOX.Secret")
    page = mail.fetch()
    assert Dovecot.password not in f"{mail!r} {mail.binding!r} {page!r}" + caplog.text
    assert "mail 1" not in repr(page)


# -- servers that misbehave ---------------------------------------------------------------------------------


def test_starttls_is_not_offered(client_for: Clients) -> None:
    script = [b"* OK hi\r\n", ANY, b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nAAAA0 OK done\r\n", HANG]
    with TaggedServer(script) as server:
        error = failure(mailbox(client_for(server.port), server.port, "starttls"))
        assert not any(b"AUTH" in line or b"LOGIN" in line for line in server.heard)
    assert (type(error), error.code) == (IntegrationTemporaryError, "tls_failed")


def test_a_greeting_that_skips_the_login_is_not_believed(client_for: Clients) -> None:
    script = [b"* PREAUTH welcome\r\n", ANY, b"* CAPABILITY IMAP4rev1 STARTTLS\r\nAAAA0 OK done\r\n", HANG]
    with TaggedServer(script) as server:
        error = failure(mailbox(client_for(server.port), server.port, "starttls"))
    assert (type(error), error.code) == (IntegrationTemporaryError, "tls_failed")


def test_plain_only_where_the_operator_opened_it() -> None:
    policy = AddressPolicy(allowed_networks=("127.0.0.0/8",))
    error = failure(mailbox(GuardedClient(policy, resolve=lambda *asked: ["127.0.0.1"]), 14300, "plain"))
    assert (type(error), error.reason) == (IntegrationBlocked, "plain_not_allowed")


class TaggedServer(ScriptedServer):
    """Keeps what it hears, and puts the client's tag where a script says AAAA0."""

    def __init__(self, *scripts: Any) -> None:
        super().__init__(*scripts)
        self.heard: list[bytes] = []
        self._tag = b"*"

    def _step(self, sock: Any, step: Any) -> bool:
        if step == ANY:
            data = sock.recv(65536)
            self.heard.append(data)
            self._tag = data.split(b" ")[0]
            return bool(data)
        return super()._step(sock, step.replace(b"AAAA0", self._tag) if isinstance(step, bytes) else step)


LOGIN = [
    b"* OK hi\r\n",
    ANY,
    b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nAAAA0 OK done\r\n",
    ANY,
    b"+ \r\n",
]
# The tag of AUTHENTICATE is gone when its answer comes: the client's second line has none.
IN = [b"* OK hi\r\n", ANY, b"* CAPABILITY IMAP4rev1\r\nAAAA0 OK done\r\n", ANY, b"AAAA0 OK in\r\n", ANY]
OPEN = [*IN, b"* OK [UIDVALIDITY 3] ok\r\n* OK [UIDNEXT 9] ok\r\n* 5 EXISTS\r\nAAAA0 OK [READ-ONLY] open\r\n", ANY]


@pytest.mark.parametrize(
    "script",
    [
        [HANG],
        [b"* OK hi\r\n", ANY, Drip(b"* OK still there\r\n" * 1000, 0.01)],
        [*LOGIN, HANG],
        [*OPEN, b"* SEARCH 1\r\nAAAA0 OK done\r\n", ANY, b"* 1 FETCH (UID 1 BODY[]<0> {5000}\r\n", Drip(b"x" * 5000)],
    ],
)
def test_a_slow_server_ends_at_the_deadline(
    client_for: Clients, monkeypatch: pytest.MonkeyPatch, script: list[Any]
) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with TaggedServer(script) as server:
        mail = mailbox(client_for(server.port), server.port, "plain", timeout=LIMIT)
        with waiting() as waited:
            error = failure(mail)
        assert waited.seconds < LIMIT + 1
    assert (type(error), error.code) == (IntegrationTemporaryError, "timeout")


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([], "connection_reset"),
        ([b"* BYE overloaded\r\n"], "imap_refused"),
        ([b"SSH-2.0-OpenSSH\r\n", HANG], "connection_reset"),
        ([*IN, b"* 5 EXISTS\r\nAAAA0 OK open\r\n", HANG], "bad_response"),  # no UIDVALIDITY
        ([*IN, b"* OK [UIDVALIDITY 3] ok\r\nAAAA0 OK open\r\n", ANY, b"AAAA0 NO no\r\n", HANG], "bad_response"),
        ([*OPEN, b"AAAA0 NO not now\r\n", HANG], "bad_response"),
        ([*OPEN, b"* SEARCH 1\r\nAAAA0 OK done\r\n", ANY, b"AAAA0 BAD what?\r\n", HANG], "imap_refused"),
        (
            [*OPEN, b"* SEARCH 1\r\nAAAA0 OK done\r\n", ANY, b"* 1 FETCH (BODY[] {99999999999}\r\n", HANG],
            "connection_reset",
        ),
        ([*OPEN, b"* SEARCH 1\r\nAAAA0 OK done\r\n", ANY, b"* 1 FETCH (BODY[] {50}\r\nhalf"], "connection_reset"),
        ([*OPEN, Endless(b"* 1 FETCH (FLAGS ())\r\n" * 100)], "connection_reset"),
        ([Endless(b"* OK " + b"x" * 5000)], "imap_refused"),
    ],
)
def test_broken_conversations(client_for: Clients, script: list[Any], code: str) -> None:
    with TaggedServer(script) as server:
        error = failure(mailbox(client_for(server.port), server.port, "plain", timeout=8))
    assert (type(error), error.code) == (IntegrationTemporaryError, code)


def test_an_unavailable_server_is_no_wrong_password(client_for: Clients) -> None:
    script = [*IN[:-2], b"AAAA0 NO [UNAVAILABLE] later\r\n", HANG]
    with TaggedServer(script) as server:
        error = failure(mailbox(client_for(server.port), server.port, "plain"))
    assert (type(error), error.code) == (IntegrationTemporaryError, "imap_refused")


@pytest.mark.parametrize(
    "said",
    [
        "[ALERT] Too many simultaneous connections. (Failure)",
        "[ALERT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        "[LIMIT] LOGIN Rate limit hit.",
        "[UNAVAILABLE] Temporary authentication failure.",
        "[INUSE] locked by another session",
        "Server Unavailable. 15",
        "User is authenticated but not connected.",
        "Server busy, please try again later",
        "[THROTTLED] slow down",
    ],
)
@pytest.mark.parametrize("at", ["LOGIN", "AUTHENTICATE", "EXAMINE"])
def test_a_server_that_takes_nobody_now_is_no_wrong_password(client_for: Clients, said: str, at: str) -> None:
    refusal = f"AAAA0 NO {said}\r\n".encode()
    scripts = {
        "LOGIN": [*IN[:-2], refusal, HANG],
        "AUTHENTICATE": [*LOGIN[:-1], refusal, HANG],
        "EXAMINE": [*IN, refusal, HANG],
    }
    with TaggedServer(scripts[at]) as server:
        error = failure(mailbox(client_for(server.port), server.port, "plain"))
    assert (type(error), error.code) == (IntegrationTemporaryError, "imap_refused")
    assert "password" not in error.message


@pytest.mark.parametrize(
    "said",
    ["[AUTHENTICATIONFAILED] try again", "[ALERT] Invalid credentials (Failure)", "LOGIN failed.", "Login denied"],
)
def test_a_wrong_password_is_one(client_for: Clients, said: str) -> None:
    with TaggedServer([*IN[:-2], f"AAAA0 NO {said}\r\n".encode(), HANG]) as server:
        error = failure(mailbox(client_for(server.port), server.port, "plain"))
    assert type(error) is IntegrationAuthError


def test_login_where_plain_is_not_understood(client_for: Clients) -> None:
    script = [*LOGIN[:-1], b"AAAA0 BAD what?\r\n", ANY, b"AAAA0 OK in\r\n", *OPEN[len(IN) - 1 :]]
    with TaggedServer([*script, b"* SEARCH\r\nAAAA0 OK done\r\n", HANG]) as server:
        page = mailbox(client_for(server.port), server.port, "plain").fetch()
    assert page.cursor == "3:8" and server.heard[2].split(b" ")[1] == b"LOGIN"


EXISTS = b"* OK [UIDVALIDITY 3] ok\r\n* %d EXISTS\r\nAAAA0 OK [READ-ONLY] open\r\n"
MAIL = b"* 1 FETCH (UID %d RFC822.SIZE 4 BODY[]<0> {4}\r\na\r\n\r)\r\nAAAA0 OK done\r\n"


def test_a_server_that_does_not_say_uidnext(client_for: Clients) -> None:
    script = [*IN, EXISTS % 2, ANY, b"* SEARCH 7 4\r\nAAAA0 OK done\r\n", ANY, MAIL % 4, ANY, MAIL % 7, HANG]
    with TaggedServer(script) as server:
        page = mailbox(client_for(server.port), server.port, "plain").fetch()
    assert ([mail.uid for mail in page.mails], page.cursor, page.has_more) == ([4, 7], "3:7", False)
    assert b"SEARCH UID 1:*" in server.heard[3]
    # "8:*" names the last mail even where that is 7: it does not come twice.
    with TaggedServer([*IN, EXISTS % 2, ANY, b"* SEARCH 7\r\nAAAA0 OK done\r\n", HANG]) as server:
        nothing = mailbox(client_for(server.port), server.port, "plain").fetch("3:7")
    assert (nothing.mails, nothing.cursor, nothing.has_more) == ((), "3:7", False)


def test_a_server_that_does_not_say_uidnext_of_few_at_a_time(client_for: Clients) -> None:
    with TaggedServer([*IN, EXISTS % 2, ANY, b"* SEARCH 4 7\r\nAAAA0 OK done\r\n", ANY, MAIL % 4, HANG]) as server:
        page = mailbox(client_for(server.port), server.port, "plain").fetch(limit=1)
    assert (page.cursor, page.has_more) == ("3:4", True)
    with TaggedServer([*IN, EXISTS % 0, HANG]) as server:
        assert mailbox(client_for(server.port), server.port, "plain").fetch().cursor == "3:0"


def test_a_large_mailbox_is_listed_in_parts_all_the_same(client_for: Clients) -> None:
    script = [*IN, EXISTS % 60_000, ANY, b"* SEARCH 3000\r\nAAAA0 OK done\r\n"]
    script += [ANY, b"* SEARCH\r\nAAAA0 OK done\r\n", ANY, b"* SEARCH 3000\r\nAAAA0 OK done\r\n", ANY, MAIL % 3000]
    with TaggedServer([*script, HANG]) as server:
        page = mailbox(client_for(server.port), server.port, "plain").fetch()
    assert ([mail.uid for mail in page.mails], page.cursor) == ([3000], "3:3000")


def test_nothing_of_a_login_becomes_another_command(client_for: Clients) -> None:
    with TaggedServer([*IN[:-2], b"AAAA0 NO wrong\r\n", HANG]) as server:
        settings = {"imap_host": HOST, "imap_port": server.port, "imap_security": "plain", "username": 'a" b\\'}
        unchecked = Binding.from_settings(EmailConnector.manifest, {**settings, "password": 'c" d\\'}, timeout=5)
        failure(EmailConnector(unchecked, client_for(server.port)))
    assert server.heard[1].split(b" ", 1)[1] == b'LOGIN "a\\" b\\\\" "c\\" d\\\\"\r\n'


def test_a_slow_server_gives_a_shorter_page(client_for: Clients) -> None:
    script: list[Any] = [
        *OPEN,
        b"* SEARCH 1 2\r\nAAAA0 OK done\r\n",
        ANY,
        b"* 1 FETCH (UID 1 RFC822.SIZE 40 BODY[]<0> {40}\r\n",
    ]
    script += [Drip(b"x" * 40), b")\r\nAAAA0 OK done\r\n", HANG]
    with TaggedServer(script) as server:
        page = mailbox(client_for(server.port), server.port, "plain", timeout=1).fetch()
    assert ([mail.uid for mail in page.mails], page.cursor, page.has_more) == ([1], "3:1", True)


def test_uids_that_nobody_asked_for_are_dropped(client_for: Clients) -> None:
    script = [*OPEN, b"* SEARCH 0 2 7 99 x 4294967299999\r\nAAAA0 OK done\r\n"]
    script += [ANY, b"* 2 FETCH (UID 2 RFC822.SIZE 4 BODY[]<0> {4}\r\na\r\n\r)\r\nAAAA0 OK done\r\n"]
    script += [ANY, b"* 3 FETCH (UID 3 FLAGS ())\r\nAAAA0 OK done\r\n", HANG]  # 7 is gone
    with TaggedServer(script) as server:
        page = mailbox(client_for(server.port), server.port, "plain").fetch()
    assert [mail.uid for mail in page.mails] == [2]
    assert page.cursor == "3:8"


# -- mails ----------------------------------------------------------------------------------------------------


def parsed(content: bytes, size: int = 0) -> Mail:
    return read(RawMail(1, size or len(content), content))


def test_an_ordinary_mail() -> None:
    message = EmailMessage()
    message["From"] = "Jäne <jane@example.com>"
    message["To"] = "a@example.com, B <b@example.com>"
    message["Subject"] = "Grüße 日本"
    message["Date"] = "Fri, 21 Nov 1997 09:55:06 -0600"
    message["Message-ID"] = "<1@example.com>"
    message.set_content("Zeile eins\nZeile zwei ü\n")
    message.add_alternative("<p>HTML</p>", subtype="html")
    message.add_attachment(b"\0\1", maintype="application", subtype="pdf", filename="Rechnung ä.pdf")
    mail = parsed(message.as_bytes())
    assert (mail.sender, mail.recipients) == ("jane@example.com", ("a@example.com", "b@example.com"))
    assert (mail.subject, mail.message_id) == ("Grüße 日本", "<1@example.com>")
    assert mail.sent_at == datetime(1997, 11, 21, 15, 55, 6, tzinfo=UTC)
    assert mail.text == "Zeile eins\nZeile zwei ü"
    (attachment,) = mail.attachments
    assert (attachment.name, attachment.content_type, attachment.content) == (
        "Rechnung ä.pdf",
        "application/pdf",
        b"\0\1",
    )
    assert not mail.is_automatic and not mail.is_cut


def test_html_alone_gives_its_words() -> None:
    html = b"<style>p {}</style><p>Hello &amp; <b>you</b></p><script>evil()</script><div>bye"
    assert parsed(b"Content-Type: text/html\r\n\r\n" + html).text == "Hello & you\nbye"


@pytest.mark.parametrize(
    ("charset", "text"),
    [("utf-8", "ä"), ("iso-8859-1", "ä"), ("windows-1252", "€"), ("utf-16", "ä"), ("gb18030", "日"), ("koi8-r", "я")],
)
def test_charsets(charset: str, text: str) -> None:
    head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    assert parsed(head + base64.b64encode(text.encode(charset))).text == text


@pytest.mark.parametrize(
    "charset", ["idna", "unicode_escape", "zip", "hex", "utf-7", "no-such", "\\ud800", '"', "a" * 1500, "=?utf-8?q?x?="]
)
def test_odd_charsets_are_read_as_utf8(charset: str) -> None:
    content = f"Content-Type: text/plain; charset={charset}\r\n\r\n+AGE- \\x41 ä".encode("utf-8", "replace")
    assert parsed(content).text == "+AGE- \\x41 ä"


def headers(subject: bytes, charset: str = "") -> Mail:
    declared = f"Content-Type: text/plain; charset={charset}\r\n".encode() if charset else b""
    return parsed(b"Subject: " + subject + b"\r\n" + declared + b"\r\nx")


@pytest.mark.parametrize(
    ("subject", "charset", "read_as"),
    [
        ("Grüße – 日本".encode(), "", "Grüße – 日本"),
        ("Grüße – 日本".encode(), "iso-8859-1", "Grüße – 日本"),
        ("Grüße".encode("latin-1"), "", "Grüße"),
        ("“Grüße”".encode("cp1252"), "us-ascii", "“Grüße”"),
        ("שלום".encode("cp1255"), "windows-1255", "שלום"),
        ("שלום".encode("iso-8859-8"), "iso-8859-8-i", "שלום"),
        ("日本".encode("shift_jis"), "shift_jis", "日本"),
        ("שלום ".encode() + b"=?utf-8?q?und_=C3=A4?=", "", "שלום und ä"),
        (b"caf\xe9", "", "café"),
        (b"=?iso-8859-8-i?b?+ezl7Q==?=", "", "שלום"),
        (b"=?ISO-8859-1?Q?=93x=94?=", "", "“x”"),
        (b"=?utf-8?b?5pc=?= =?utf-8?b?pQ==?=", "", "日"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?= c", "", "ab c"),
        (b"=?utf-8*de?q?=C3=A4?=", "", "ä"),
        (b"a \\u0041 =?utf-8?q?=C3=A4?=", "", "a \\u0041 ä"),
        (b"=?x-sjis?b?k/qWew==?=", "", "日本"),
    ],
)
def test_headers_as_mail_programs_read_them(subject: bytes, charset: str, read_as: str) -> None:
    assert headers(subject, charset).subject == read_as


@pytest.mark.parametrize(
    ("declared", "content", "text"),
    [
        ("", "Grüße".encode("latin-1"), "Grüße"),
        ("; charset=us-ascii", "“Grüße”".encode("cp1252"), "“Grüße”"),
        ("; charset=no-such", "Grüße".encode("latin-1"), "Grüße"),
        ("; charset=iso-8859-1", "“x” €".encode("cp1252"), "“x” €"),
        ("; charset=iso-8859-8-i", "שלום".encode("iso-8859-8"), "שלום"),
        ("; charset=iso-8859-8-e", "שלום".encode("iso-8859-8"), "שלום"),
        ("; charset=iso-8859-6-i", "سلام".encode("iso-8859-6"), "سلام"),
        ("; charset=tis-620", "ไทย".encode("tis-620"), "ไทย"),
        ("; charset=gb2312", "镕".encode("gbk"), "镕"),
        ("; charset=utf-8", "Grü".encode() + b"\xff" + "ße".encode(), "Grü�ße"),
        ("", "Grüße".encode()[:-1] + "ß".encode()[:1], "Grüß"),
    ],
)
def test_texts_as_mail_programs_read_them(declared: str, content: bytes, text: str) -> None:
    head = f"Content-Type: text/plain{declared}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".encode()
    assert parsed(head + content).text == text


def test_a_name_of_a_file_and_an_address_in_bare_utf8() -> None:
    head = 'From: "Jörg" <jörg@exämple.de>\r\nContent-Type: application/pdf\r\n'
    head += 'Content-Disposition: attachment; filename="Rechnung für März.pdf"\r\n\r\n'
    mail = parsed(head.encode() + b"x")
    assert mail.sender == "jörg@exämple.de"
    assert mail.attachments[0].name == "Rechnung für März.pdf"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\Windows\\\\evil.exe", "evil.exe"),
        ("..", ""),
        ("a\0b.pdf", "a b.pdf"),
        ("x" * 1500, "x" * 100),
    ],
)
def test_a_name_is_no_path(given: str, name: str) -> None:
    head = f'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="{given}"\r\n\r\n'
    assert parsed(head.encode() + b"x").attachments[0].name == name


def _boxes(depth: int) -> bytes:
    head = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth)
    )
    return b"Subject: deep\r\n" + head + b"\r\nend\r\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\0\0",
        b"Subject: =?utf-8?b?broken?= =?no-such?q?=FF?= =?utf-8?q?=FF?=\r\nFrom: \xff\r\nDate: never\r\n\r\n",
        b"From: " + b"<" * 100_000,
        b"From: " + b'"' * 50_001 + b"\r\nTo: " + b"(" * 50_000 + b"\r\n\r\nx",
        b"Date: Fri, 99 Nov 99999 99:99:99 +9999\r\n\r\nx",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n",
        b"Content-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!====",
        b"Content-Type: text/plain; charset*=no-such''%FF; name*0*=a; name*1*=%FF\r\n\r\nx",
        b"Content-Disposition: attachment; filename*=utf-8''%00%ff\r\n\r\nx",
        b"Content-Type: text/html\r\n\r\n" + b"<" * 20_000 + b"<![x" * 1000,
        b"a: b\r\n" * 50_000,
        _boxes(50),
        _boxes(3000),
        _boxes(15) + b"\n" * 300_000,
        _boxes(400) + b"\n" * 300_000,
        b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"\xff-" + b"a" * 500_000,
        b'Content-Type: multipart/mixed; x="' + b";\r\n " * 100_000 + b"\r\n\r\nx",
        b'A: b\rContent-Type: multipart/mixed; x="' + b";\r " * 100_000 + b"\r\rx",
        b"Content-Disposition: attachment; filename*=punycode''%ff-" + b"a" * 300_000 + b"\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5000,
    ],
)
def test_nothing_that_a_stranger_sends_raises_or_takes_long(content: bytes) -> None:
    with computing() as computed:
        mail = parsed(content)
    assert computed.seconds < 5
    assert len(mail.attachments) <= 100
    assert all(text.isprintable() for text in (mail.subject, mail.sender, mail.message_id, *mail.recipients))
    repr(mail)


def test_automatic_and_cut_mails_say_so() -> None:
    mail = parsed(b"Auto-Submitted: auto-replied\r\n\r\nx", size=10_000_000)
    assert mail.is_automatic and mail.is_cut
