"""Microsoft Graph: mail from a Microsoft 365 mailbox, with the app's own credentials.

    graph.send_mail("noreply@contoso.com", ["jane@example.com"], "Your repair is done", text="…")

Graph drops no copies: a mail whose answer is lost is sent again. Every copy carries the event's key in the header
``x-webhook-id``. Accepted (202) means that Exchange Online has the mail, not that it arrived.
An app that may change itself renews its secret (passwords.py). Errors: errors.py beside this. Source: https://learn.microsoft.com/graph/api/user-sendmail,
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from integrations.auth.token import MemoryTokens
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import ConfigurationError, IntegrationAuthError, IntegrationError
from integrations.transport.response import Response

from . import errors, mail, passwords
from .manifest import MANIFEST


@register
class MicrosoftGraphConnector(BaseConnector):
    """Mail from one mailbox."""

    manifest = MANIFEST
    faults = tuple(errors.FAULTS.values())
    propagation_seconds = 2.0  # between two looks whether a new secret is known everywhere

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        return error and errors.refined(error, response, self.host)

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
        body = mail.message(recipients, subject, html=html, text=text, save=save, key=key)
        return self.http.send("POST", f"{_user(sender)}/sendMail", json=body)

    def deliver(self, envelope: Envelope) -> Receipt:
        settings = self.settings
        self.validate_required_fields(settings, ("sender", "to"))
        summary = envelope.summary(settings.get("fields") or ())
        response = self.send_mail(
            settings["sender"],
            settings["to"],
            envelope.title(settings.get("subject") or "")[: mail.MAX_SUBJECT],
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
