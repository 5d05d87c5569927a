"""What a person fills in for mail."""

from __future__ import annotations

from integrations.connectors.common_fields import LINES, SUBJECT
from integrations.connectors.manifest import Field, Logo, Manifest

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
ADDRESS = rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_ADDRESS_HINT = "must be an address such as jane@example.com, a domain with accents in its xn-- form"
_LINE = r"[^\x00-\x1f\x7f]*"
_LINE_HINT = "must be one line without control characters"
_SECURITY = ("tls", "starttls", "plain")
_SECURITY_HELP = (
    "tls: encrypted from the first byte. starttls: the server is asked to encrypt, and gets nothing if it will not. "
    "plain: only for a host and port that the operator has opened."
)

MANIFEST = Manifest(
    key="email",
    label="E-mail (SMTP, IMAP)",
    family="email",
    description="Sends a mail for every event, with the payload as JSON attached; reads new mail of a mailbox.",
    needs=("An SMTP server, and a mailbox with its password",),
    logo=Logo(path="M4 6h16v12H4zM4 7l8 6 8-6", colour="#0b7285"),
    docs_url="https://www.rfc-editor.org/rfc/rfc5321",
    does=("deliver", "check", "read"),
    fields=(
        Field(name="smtp_host", label="SMTP host", kind="host", required=True),
        Field(
            name="smtp_port",
            label="SMTP port",
            kind="integer",
            default=465,
            minimum=1,
            maximum=65535,
            help="465 with tls, 587 (or 25) with starttls.",
        ),
        Field(
            name="smtp_security",
            label="SMTP encryption",
            kind="choice",
            choices=_SECURITY,
            default="tls",
            help=_SECURITY_HELP,
        ),
        Field(
            name="username", label="User name", pattern=_LINE, hint=_LINE_HINT, help="Empty: the server wants no login."
        ),
        Field(name="password", kind="secret", help="Often one that is made for apps, not the account's own."),
        Field(
            name="sender",
            required=True,
            pattern=ADDRESS,
            hint=_ADDRESS_HINT,
            help="An address that this account may send from.",
        ),
        Field(name="sender_name", pattern=_LINE, hint=_LINE_HINT, advanced=True),
        Field(
            name="recipients",
            kind="lines",
            required=True,
            pattern=ADDRESS,
            hint=_ADDRESS_HINT,
            help="One address per line, at most 100. They see each other.",
        ),
        SUBJECT.model_copy(update={"pattern": _LINE, "hint": _LINE_HINT}),
        LINES,
        Field(name="imap_host", label="IMAP host", kind="host", help="Only to read mail.", advanced=True),
        Field(
            name="imap_port",
            label="IMAP port",
            kind="integer",
            default=993,
            minimum=1,
            maximum=65535,
            help="993 with tls, 143 with starttls.",
            advanced=True,
        ),
        Field(
            name="imap_security",
            label="IMAP encryption",
            kind="choice",
            choices=_SECURITY,
            default="tls",
            help=_SECURITY_HELP,
            advanced=True,
        ),
        Field(name="imap_mailbox", label="Mailbox", default="INBOX", pattern=_LINE, hint=_LINE_HINT, advanced=True),
        Field(
            name="imap_username",
            label="IMAP user name",
            pattern=_LINE,
            hint=_LINE_HINT,
            help="Empty: user name and password of SMTP.",
            advanced=True,
        ),
        Field(name="imap_password", label="IMAP password", kind="secret", advanced=True),
    ),
)
