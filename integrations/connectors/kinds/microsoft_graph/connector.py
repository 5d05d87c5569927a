"""Microsoft Graph: mail from a Microsoft 365 mailbox, with the app's own credentials.

    graph.send_mail("noreply@contoso.com", ["jane@example.com"], "Your repair is done", text="…")

Graph drops no copies: a mail whose answer is lost is sent again. Every copy carries the event's key in the header
``x-webhook-id``. Accepted (202) means that Exchange Online has the mail, not that it arrived.
An app that may change itself renews its secret (passwords.py).
Errors: what Graph's codes mean, `FAULTS`; its own message is only in the redacted excerpt, for it repeats addresses.
Source: https://learn.microsoft.com/graph/api/user-sendmail, https://learn.microsoft.com/graph/errors,
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from integrations.auth.token import MemoryTokens
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import LINES, SUBJECT, Field, Logo, Manifest, OAuth, RateLimit, api_address
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import ConfigurationError, IntegrationAuthError, IntegrationError, IntegrationTemporaryError
from integrations.faults import DAY, table
from integrations.transport.classify import retry_after_of
from integrations.transport.response import Response

from . import passwords

MAX_SUBJECT = 255
KEY_HEADER = "x-webhook-id"  # Graph takes only names that begin with x-

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

_SENDER = "the sender does not exist; check Sender"
_MAILBOX = "the sender has no mailbox in Exchange Online"
_OFF = "the sender's account is switched off"
_USED_UP = "the mailbox or the organisation has used up what it may send"
_USED_UP_CODES = "ErrorExceededMessageLimit ErrorSubmissionQuotaExceeded ErrorRecipientLimitExceeded"

# What is not listed is decided by its status: 401 and 403 are the credentials', other 4xx the event's.
FAULTS = table(
    {
        "auth": "ErrorAccessDenied Authorization_RequestDenied ErrorSendAsDenied InvalidAuthenticationToken",
        "setup": """
            MailboxNotEnabledForRESTAPI ErrorInvalidUser Request_ResourceNotFound ResourceNotFound
            ErrorInvalidRecipients ErrorNonExistentMailbox ErrorUserNotFound OrganizationFromTenantGuidNotFound
            ErrorAccountDisabled AccountDisabled ErrorMessageSubmissionBlocked ErrorQuotaExceeded""",
        "quota": _USED_UP_CODES,
        "rate_limited": "ApplicationThrottled TooManyRequests activityLimitReached ErrorServerBusy",
        "temporary": """
            MailboxStoreUnavailable ErrorMailboxStoreUnavailable ErrorMailboxMoveInProgress serviceNotAvailable
            ErrorTimeoutExpired""",
        "event": "ErrorMessageSizeExceeded ErrorInvalidProperty RequestBodyRead",
    },
    {
        "ErrorAccessDenied": "grant the app the application permission Mail.Send, with an administrator's consent, and "
        "let its access policy cover the sender",
        "Authorization_RequestDenied": "an administrator must consent to the app's permissions",
        "ErrorSendAsDenied": "the app may not send as this sender",
        "MailboxNotEnabledForRESTAPI": _MAILBOX,
        "ErrorNonExistentMailbox": _MAILBOX,
        "ErrorInvalidUser": _SENDER,
        "Request_ResourceNotFound": _SENDER,
        "ResourceNotFound": _SENDER,
        "ErrorUserNotFound": _SENDER,
        "OrganizationFromTenantGuidNotFound": "there is no such directory; check Directory (tenant) id",
        "ErrorInvalidRecipients": "a recipient's address is wrong; check Recipients",
        "ErrorMessageSubmissionBlocked": "Exchange stopped the sender; a notice in the mailbox says what to do",
        "ErrorQuotaExceeded": "the sender's mailbox is full; make room, or do not keep mails in Sent Items",
        "ErrorAccountDisabled": _OFF,
        "AccountDisabled": _OFF,
        **dict.fromkeys(_USED_UP_CODES.split(), _USED_UP),
    },
    dict.fromkeys(_USED_UP_CODES.split(), DAY),
)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{1,79}", re.ASCII)


@register
class MicrosoftGraphConnector(BaseConnector):
    """Mail from one mailbox."""

    manifest = MANIFEST
    faults = tuple(FAULTS.values())
    propagation_seconds = 2.0  # between two looks whether a new secret is known everywhere

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        return error and refined(error, response, self.host)

    def send_mail(
        self,
        sender: str,
        to: Sequence[str] | str,
        subject: str,
        *,
        html: str = "",
        text: str = "",
        save: bool = False,
        key: str = "",
    ) -> Response:
        """Send a mail, as HTML if `html` is given; return the empty 202.

        Args:
            save: keep a copy in the sender's Sent Items.
            key: goes into the header ``x-webhook-id``.
        """
        recipients = [to] if isinstance(to, str) else list(to)
        if not sender or not recipients:
            raise ConfigurationError({"to": "missing; a mail needs a sender and a recipient"})
        body = message_of(recipients, subject, html=html, text=text, save=save, key=key)
        return self.http.send("POST", f"{_user(sender)}/sendMail", json=body)

    def deliver(self, envelope: Envelope) -> Receipt:
        settings = self.settings
        self.validate_required_fields(settings, ("sender", "to"))
        summary = envelope.summary(settings.get("fields") or ())
        response = self.send_mail(
            settings["sender"],
            settings["to"],
            envelope.title(settings.get("subject") or "")[:MAX_SUBJECT],
            text="\n\n".join(filter(None, (summary.text, summary.link))) or summary.title,
            save=bool(settings.get("save")),
            key=envelope.idempotency_key,
        )
        return self.receipt(response)

    def rotate(self) -> dict[str, Any]:
        """Have the app add a secret to itself, and return it once Entra takes it."""
        added = passwords.add(self.http, self.settings["client_id"])
        signing_in = replace(
            self.binding,
            credentials={**self.binding.credentials, "client_secret": added.secret},
            tokens=MemoryTokens(),
        )
        try:
            passwords.wait_until_taken(type(self)(signing_in, self._client).auth.headers, self.propagation_seconds)
        except IntegrationError as error:
            failure = error
        else:
            return {"client_secret": added.secret, "client_secret_id": added.key_id}
        passwords.remove(self.http, self.settings["client_id"], added.key_id)
        raise failure

    def retire(self) -> None:
        key_id = self.settings.get("client_secret_id") or passwords.key_of(
            self.http, self.settings["client_id"], self.settings["client_secret"]
        )
        if not key_id:
            self.logger.warning("the replaced client secret cannot be told from others: remove it in Microsoft Entra")
            return
        passwords.remove(self.http, self.settings["client_id"], key_id)

    def check(self) -> str:
        """Sign in and look the sender up; an app with Mail.Send alone may not, and then has shown who it is."""
        self.validate_required_fields(self.settings, ("sender",))
        try:
            self.http.get(_user(self.settings["sender"]), params={"$select": "id"})
        except IntegrationAuthError as error:
            if error.status != 403:
                raise
            return "The app signs in. Whether it may send is seen with the first mail."
        return "The app signs in, and the sender exists."


def _user(address: str) -> str:
    return f"users/{quote(address, safe='@')}"


def message_of(
    to: Sequence[str], subject: str, *, html: str = "", text: str = "", save: bool = False, key: str = ""
) -> dict[str, Any]:
    """Return the body of a ``sendMail``; `key` goes into a header, by which a copy can be told."""
    body = {"contentType": "HTML", "content": html} if html else {"contentType": "Text", "content": text}
    mail: dict[str, Any] = {
        "subject": subject,
        "body": body,
        "toRecipients": [{"emailAddress": {"address": address}} for address in to],
    }
    if key:
        mail["internetMessageHeaders"] = [{"name": KEY_HEADER, "value": key}]
    return {"message": mail, "saveToSentItems": save}


def refined(error: IntegrationError, response: Response, host: str) -> IntegrationError:
    """Return what Graph means where the default table says `error`."""
    code = code_of(response)
    if not code:
        return error
    words = f"{host} answered {response.status} {code}"
    fault = FAULTS.get(code)
    if fault is not None:
        wait = retry_after_of(response)
        return fault.error(words, retry_after=wait, status=response.status, excerpt=error.excerpt)
    # Graph's own clients wait as Retry-After says on 504, too.
    wait = retry_after_of(response) if isinstance(error, IntegrationTemporaryError) else error.retry_after
    return type(error)(words, code=code, status=response.status, retry_after=wait, excerpt=error.excerpt)


def code_of(response: Response) -> str:
    """Return the code in the answer, "" if there is none."""
    error = response.json_object.get("error")
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    return code if _CODE.fullmatch(code) else ""
