"""What a person fills in for mail by Microsoft Graph."""

from __future__ import annotations

from integrations.connectors.common_fields import LINES, SUBJECT, api_address
from integrations.connectors.manifest import Field, Logo, Manifest, OAuth, RateLimit

MANIFEST = Manifest(
    key="microsoft_graph",
    label="Microsoft Graph mail",
    family="email",
    description="Sends a mail for every event from a Microsoft 365 mailbox.",
    needs=(
        "An app registration in Entra ID with the permission Mail.Send",
        "The mailbox that sends",
    ),
    logo=Logo(path="M3 9h13v10H3zM3 10l6.5 5 6.5-5M8 5h13v10h-2", colour="#1864ab"),
    docs_url="https://learn.microsoft.com/graph/api/user-sendmail",
    fields=(
        Field(
            name="tenant_id",
            label="Directory (tenant) id",
            required=True,
            pattern=r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}",
            hint="must be the id or a domain of the directory",
            help="From the app registration's overview in Microsoft Entra.",
        ),
        Field(name="client_id", label="Application (client) id", required=True),
        Field(
            name="client_secret",
            kind="secret",
            trim=True,
            required=True,
            help="The secret's value, not its id. The app needs the application permission Mail.Send; restrict it to "
            "the sender's mailbox with an application access policy. With Application.ReadWrite.OwnedBy, and the app "
            "among its own owners, the secret is renewed by itself when it is due.",
        ),
        Field(
            name="client_secret_id",
            label="Client secret's id",
            pattern=r"[0-9A-Fa-f-]{36}",
            hint="must be the secret's id, such as 11111111-2222-3333-4444-555555555555",
            help="Which secret is removed once it is renewed; empty: found by its first characters.",
            advanced=True,
        ),
        Field(name="sender", kind="email", required=True, help="The mailbox that mail is sent from."),
        Field(name="to", label="Recipients", kind="lines", help="One address per line.", pattern=r"[^@\s]+@[^@\s]+"),
        SUBJECT.model_copy(update={"advanced": True}),
        LINES,
        Field(name="save", label="Keep in Sent Items", kind="boolean", default=False, advanced=True),
        api_address("https://graph.microsoft.com/v1.0"),
        Field(
            name="login_url",
            label="Sign-in address",
            kind="url",
            default="https://login.microsoftonline.com",
            advanced=True,
        ),
    ),
    oauth=OAuth(
        grant="client_credentials",
        token_url="{login_url}/{tenant_id}/oauth2/v2.0/token",  # noqa: S106 - an address
        scopes=("https://graph.microsoft.com/.default",),
    ),
    allowed_hosts=("graph.microsoft.com", "login.microsoftonline.com"),
    rate_limit=RateLimit(per_minute=30, note="messages of one mailbox (Exchange Online)"),
    does=("deliver", "check"),
)
