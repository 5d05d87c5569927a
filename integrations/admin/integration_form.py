"""The form of a tenant integration: nothing secret goes out, nothing unusable comes in.

The form knows when it is stale: it carries the row's ``updated_at``, and refuses to save over what somebody
else saved (or a rotated secret) since.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from integrations.connections.models import TenantIntegration
from integrations.connectors.kinds.webhook import authorization
from integrations.credentials.masking import MASK, is_mask, mask
from integrations.errors import EncryptionError
from integrations.transport.guard import check_url
from integrations.transport.headers import HeaderRejected, check_headers
from integrations.transport.policy import AddressPolicy
from integrations.transport.redaction import mask_url
from integrations.transport.rejected import UrlRejected
from tenants.scoped_admin import TenantOwnedForm

from .display import clock
from .event_types_field import EventTypesField
from .secret_fields import HeadersField, SecretField, masked_json, parse_masked_headers

CREDENTIALS = ("username", "password", "api_key", "api_key_header")
TYPED_SECRETS = ("password", "api_key")
STALE = (
    "Somebody else changed this integration at {time}, after you opened this page, so nothing was saved. "
    "Open the page again and repeat your changes."
)


class IntegrationForm(TenantOwnedForm):
    """Everything that a person sets on an integration; run-time switches are not among it."""

    version = forms.CharField(required=False, widget=forms.HiddenInput)
    event_types = EventTypesField(
        required=False,
        help_text="Tick what this destination wants to hear of. A condition is a JMESPath expression over the "
        "payload, for example workitem.priority == 'Urgent'; empty: always.",
    )
    webhook_url = forms.CharField(
        label="Webhook URL",
        widget=forms.TextInput(attrs={"class": "vLargeTextField", "autocomplete": "off", "spellcheck": "false"}),
        help_text="https://host/path. Kept encrypted; after saving only its host is shown. "
        "To change it, replace all of it.",
    )
    headers = HeadersField(
        required=False,
        help_text='Sent with every request, as JSON: {"X-API-Key": "your-token"}. Values are kept encrypted '
        "and shown as dots; leave the dots to keep a value.",
    )
    username = forms.CharField(
        label="Basic: user name", required=False, max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    password = SecretField(label="Basic: password", strip=False)
    api_key = SecretField(label="API key")
    api_key_header = forms.CharField(
        label="API key header", required=False, max_length=256, help_text="Empty: X-API-Key."
    )

    class Meta:
        model = TenantIntegration
        fields = (
            "tenant",
            "name",
            "integration_type",
            "is_active",
            "is_signed",
            "ordering",
            "max_in_flight",
            "rate_limit_per_minute",
            "timeout_seconds",
            "max_attempts",
        )
        help_texts = {
            "is_active": "Off: no event is queued for it, and what is pending is cancelled.",
            "is_signed": "Sign every request (Standard Webhooks). The secret is shown once, right after saving.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored_url = self.stored("webhook_url", "")
        self.stored_headers: dict[str, str] = self.stored("headers", {})
        self.stored_credentials: dict[str, Any] = self.stored("credentials", {})
        if self.instance.pk is None:
            return
        credentials = self.stored_credentials
        subscriptions = dict(self.instance.subscriptions.order_by("id").values_list("event_type", "condition"))
        shown = {
            "version": self.instance.updated_at.isoformat(),
            "event_types": subscriptions,
            "webhook_url": mask_url(self.stored_url) if self.stored_url else "",
            "headers": masked_json(self.stored_headers),
            "username": credentials.get("username", ""),
            "password": mask(credentials.get("password")),
            "api_key": mask(credentials.get("api_key")),
            "api_key_header": credentials.get("api_key_header", ""),
        }
        for name, value in shown.items():
            if name in self.fields:
                self.initial[name] = self.fields[name].initial = value

    def stored(self, name: str, default: Any) -> Any:
        """Return a stored secret; one that no key opens counts as missing, so that it can be set anew."""
        if self.instance.pk is None:
            return default
        try:
            return getattr(self.instance, name)
        except EncryptionError:
            return default

    # -- checking ---------------------------------------------------------------------------------

    def clean_webhook_url(self) -> str:
        """Return the new address, or the mask's text for "unchanged"."""
        url = self.cleaned_data["webhook_url"]
        if self.stored_url and url == mask_url(self.stored_url):
            return self.stored_url
        if "•" in url:
            raise ValidationError("The dots hide the stored address: enter all of the new one.")
        try:
            check_url(url, AddressPolicy.from_conf())
        except UrlRejected as rejected:
            raise ValidationError(rejected.message) from None
        return url

    def clean_headers(self) -> dict[str, str]:
        return parse_masked_headers(self.cleaned_data["headers"], self.stored_headers)

    def clean_username(self) -> str:
        name = self.cleaned_data["username"]
        if ":" in name:
            raise ValidationError("A user name for Basic authentication must not contain a colon.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk is not None:
            self._refuse_stale()
            self._refuse_to_send_secrets_elsewhere(cleaned)
        credentials = self._credentials(cleaned)
        if credentials.get("password") and not credentials.get("username"):
            self.add_error("username", "A password needs a user name.")
        if credentials.get("api_key_header") and not credentials.get("api_key"):
            self.add_error("api_key", "There is a header for an API key, but no key.")
        self._check_together(credentials, cleaned.get("headers") or {})
        if self.errors:
            for name in TYPED_SECRETS:
                if cleaned.get(name) and not is_mask(cleaned[name]):
                    self.add_error(name, "Please type this again: it is never sent back to the browser.")
        return cleaned

    def _refuse_to_send_secrets_elsewhere(self, cleaned: dict[str, Any]) -> None:
        """A stored secret goes to the server it was entered for: pointed elsewhere, it must be typed again.

        Otherwise whoever may edit the form could read every secret behind the dots by having it sent to them.
        """
        if "webhook_url" not in cleaned or _origin(cleaned["webhook_url"]) == _origin(self.stored_url):
            return
        advice = "The address is on another server: type this again, or empty it."
        if self.stored_headers and MASK in (self.data.get(self.add_prefix("headers")) or ""):
            self.add_error("headers", advice)
        for name in TYPED_SECRETS:
            if self.stored_credentials.get(name) and is_mask(cleaned.get(name, MASK)):
                self.add_error(name, advice)

    def _refuse_stale(self) -> None:
        row = TenantIntegration.unannounced.select_for_update().filter(pk=self.instance.pk)
        updated_at = row.values_list("updated_at", flat=True).first()
        if updated_at is None:
            raise ValidationError("Somebody else deleted this integration.")
        if updated_at.isoformat() != self.cleaned_data.get("version"):
            raise ValidationError(STALE.format(time=clock(updated_at)), code="stale")

    def _check_together(self, credentials: dict[str, Any], headers: dict[str, str]) -> None:
        """Refuse a header that the authentication fields set too, and an API key that no header can carry."""
        own = authorization(credentials)
        taken = {name.lower() for name in headers}
        for name in own:
            if name.lower() in taken:
                self.add_error("headers", f"{name} is set here and by the authentication fields; keep one.")
        try:
            check_headers(own)
        except HeaderRejected as rejected:
            self.add_error("username" if "Authorization" in rejected.message else "api_key", rejected.message)

    # -- saving -----------------------------------------------------------------------------------

    def _credentials(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the stored credentials with what was typed; keys that are no form field stay (signing keys)."""
        credentials = dict(self.stored_credentials)
        for name in CREDENTIALS:
            value = cleaned.get(name, MASK)
            if is_mask(value):
                continue
            if value:
                credentials[name] = value
            else:
                credentials.pop(name, None)
        return credentials

    def save(self, commit: bool = True) -> TenantIntegration:
        """Put the secrets on the instance; ``columns`` are then those to save."""
        integration = self.instance
        concrete = {field.name for field in TenantIntegration._meta.concrete_fields}
        changed = [name for name in self.changed_data if name in concrete]
        cleaned = self.cleaned_data
        credentials = self._credentials(cleaned)
        new = [
            ("webhook_url", cleaned["webhook_url"], self.stored_url),
            ("headers", cleaned["headers"], self.stored_headers),
            ("credentials", credentials, self.stored_credentials),
        ]
        for name, value, stored in new:
            if value != stored:
                setattr(integration, name, value)
                changed.append(f"{name}_encrypted")
        self.url_is_new = cleaned["webhook_url"] != self.stored_url
        if integration.pk is None or {"headers_encrypted", "credentials_encrypted"} & set(changed):
            integration.credentials_rotated_at = timezone.now()
            changed.append("credentials_rotated_at")
        self.columns = [*changed, "updated_at"]
        return super().save(commit)

    def save_event_types(self) -> None:
        """Write the subscriptions; those that stay keep their rows."""
        if "event_types" not in self.changed_data:
            return
        wanted: dict[str, str] = self.cleaned_data["event_types"]
        self.instance.subscribe(*wanted)
        for subscription in self.instance.subscriptions.all():
            if subscription.condition != wanted[subscription.event_type]:
                subscription.condition = wanted[subscription.event_type]
                subscription.save(update_fields=["condition"])


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:  # never equal to a readable one
        return "", None, None
