"""The manifest: what a connector says about itself, once.

It drives the admin form, masking, validation, the generated page in docs/connectors/, and health. A Python
connector writes ``manifest = Manifest(…)``; a template writes the same keys in YAML (template/).
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic import Field as _Field

from integrations.auth.spec import OAuth as OAuth

from .inbound_secret import RULE
from .texts import Form
from .versions import SDK_VERSION, Version, VersionRange

Kind = Literal["text", "secret", "url", "email", "host", "integer", "boolean", "choice", "lines", "json"]

URL = "url"  # the field that is the integration's address; it is encrypted like a secret
HEADERS = "headers"  # the field of free headers

FAMILY = re.compile(r"[a-z][a-z0-9-]{0,29}")
_HOST_PATTERN = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Field(_Model):
    """One thing a person fills in.

    Attributes:
        name: the key in the configuration; ``url`` is the integration's address, ``headers`` its free headers.
        kind: how it is checked and drawn. ``secret``: encrypted and masked; ``lines``: several texts, one per line;
            ``json``: any JSON value, ``headers`` included.
        advanced: shown apart; most people never touch it.
        multiline: a text or secret of several lines: a PEM key, a message's text. A one-line box would join them.
        trim: of a secret: none of its kind begins or ends with a space, as no token or PEM key does; those around it
            were pasted along, and are dropped. Elsewhere people are asked about them, and the API refuses them.
        form: how a text, or each line, uses JMESPath over the payload (texts.py): ``text`` has ``{…}`` in it, ``line``
            is ``Label: expression``, ``mapping`` is one or ``Label: =constant``, ``expression`` is one; "": not at all.
        pattern: a regular expression that the whole text must match; ``hint`` then says it in words.
        minimum, maximum: bounds of an integer.
    """

    name: str = _Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    label: str = ""
    kind: Kind = "text"
    help: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    form: Form = ""
    pattern: str = ""
    hint: str = ""
    minimum: int | None = None
    maximum: int | None = None
    advanced: bool = False
    multiline: bool = False
    trim: bool = False

    @property
    def is_secret(self) -> bool:
        return self.kind == "secret"

    @property
    def title(self) -> str:
        """What people read: the label, or the name in words."""
        return self.label or self.name.replace("_", " ").capitalize()

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _fits(self) -> Field:
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError("only the kind 'choice' has choices")
        if self.multiline and self.kind not in ("text", "secret"):
            raise ValueError("only the kinds 'text' and 'secret' have several lines; for a list there is 'lines'")
        if self.trim and not self.is_secret:
            raise ValueError("only secrets need trim; everything else is trimmed anyway")
        if self.is_secret and self.default:
            raise ValueError("a secret cannot have a default: everybody could read it")
        if self.choices and self.default not in (None, *self.choices):
            raise ValueError("the default is not one of the choices")
        wanted = {"integer": int, "boolean": bool}.get(self.kind)
        if wanted and self.default is not None and type(self.default) is not wanted:
            raise ValueError(f"the default of the kind '{self.kind}' must be one")
        return self


class Logo(_Model):
    """A simple drawing of ours for a list: lines on a field of 24 by 24, white on a tile. No provider's trademark.

    Attributes:
        path: the ``d`` of an SVG path, drawn as a line 1.75 wide.
        colour: of the tile, ``#rrggbb``, dark enough for white lines.
    """

    path: str = _Field(pattern=r"^[MmLlHhVvCcSsQqTtAaZz0-9eE .,+-]{1,1000}$")
    colour: str = _Field(pattern=r"^#[0-9a-fA-F]{6}$")


class RateLimit(_Model):
    """The provider's own limit, as its documentation says; a lane without its own limit keeps to it."""

    per_minute: int = _Field(ge=1)
    note: str = ""


Scheme = Literal[
    "standard-webhooks",
    "stripe",
    "github",
    "shopify",
    "woocommerce",
    "slack",
    "hmac-sha256-hex",
    "hmac-sha256-base64",
    "hmac-sha256-prefixed",
]


class Inbound(_Model):
    """How this kind of system calls us back: how its webhooks prove themselves, and where they say what they are.

    Attributes:
        scheme: how they are signed (docs/inbound.md).
        secret_field: the field of the manifest that holds the secret; several secrets, one per line, during a rotation.
        signature_header: for the schemes ``hmac-sha256-…``, which have none of their own.
        id_header, id_path: where a delivery's id is, by which a second copy is known: a header, or an
            expression (JMESPath) over the body, ``event.type``. Neither: the body itself tells.
        event_header, event_path: where the type of the event is.
        keeps_headers: further headers that are stored with a webhook, for whoever handles it; never a login.
        sends_forms: bodies may be ``application/x-www-form-urlencoded`` too.
    """

    scheme: Scheme
    secret_field: str = "webhook_secret"  # noqa: S105 - the name of a field
    signature_header: str = ""
    id_header: str = ""
    id_path: str = ""
    event_header: str = ""
    event_path: str = ""
    keeps_headers: tuple[str, ...] = ()
    sends_forms: bool = False

    @model_validator(mode="after")
    def _has_its_header(self) -> Inbound:
        if self.scheme.startswith("hmac-") and not self.signature_header:
            raise ValueError(f"the scheme {self.scheme} needs a signature_header")
        return self


class Manifest(_Model):
    """What a connector says about itself.

    Attributes:
        key: the ``integration_type``; stable for ever.
        family: ``webhook``, ``chat``, ``crm``, ``email``, ``files``, ``erp``, ``ai``, …: what it is for.
        version: semver of the connector; a new major one may need ``migrate_config``.
        sdk: the versions of this kit that it was written for.
        description: one sentence on what it is for, shown in gallery, admin and docs.
        needs: what a person must have at hand to set it up, a few words each; none: the fields that are required.
        logo: how it looks in a gallery; None: as its family does (gallery.py).
        docs_url: the provider's own documentation of the wire format.
        fields: what a person fills in, in order.
        inbound: how it calls us back; None: it does not.
        allowed_hosts: hosts it may talk to: ``slack.com``, ``*.salesforce.com``; empty: any public one. Hosts that
            the operator has allow-listed (ALLOWED_HOSTS) may always stand in.
        secret_path: the path of the address is a secret (Slack's webhooks); only the host is ever shown or logged.
        allow_multiple: False: a tenant may have one active integration of this family.
        signs: requests carry Standard Webhooks signatures.
        timeout: seconds for one request, 1 to 60; None: the setting.
        repeats_answers: a lane tries again after any answer that is no success, 410 apart: a tenant's own receiver
            answers 404 while it is deployed, 400 while it has a mistake. False: as the answer's kind says.
        does: what it can do: ``deliver`` any event, ``export`` orders, ``check`` a connection, ``read``. What only
            exports is offered events that hold an order, and no test event.
    """

    key: str = _Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,49}$")
    label: str
    family: str = _Field(default="other", pattern=f"^{FAMILY.pattern}$")
    version: str = "1.0.0"
    sdk: str = f"^{SDK_VERSION}"
    description: str = ""
    needs: tuple[str, ...] = ()
    logo: Logo | None = None
    docs_url: str = ""
    fields: tuple[Field, ...] = ()
    oauth: OAuth | None = None
    inbound: Inbound | None = None
    allowed_hosts: tuple[str, ...] = ()
    rate_limit: RateLimit | None = None
    secret_path: bool = False
    repeats_answers: bool = False
    allow_multiple: bool = True
    signs: bool = False
    timeout: float | None = _Field(default=None, ge=1, le=60)
    does: tuple[Literal["deliver", "export", "check", "read"], ...] = ("deliver",)

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [pattern for pattern in value if not _HOST_PATTERN.fullmatch(pattern)]:
            # It would match nothing, and every call would be refused.
            raise ValueError(f"not a host such as slack.com or *.salesforce.com: {', '.join(wrong)}")
        return value

    @field_validator("version")
    @classmethod
    def _is_semver(cls, value: str) -> str:
        Version.parse(value)
        return value

    @field_validator("sdk")
    @classmethod
    def _is_range(cls, value: str) -> str:
        VersionRange(value)
        return value

    @model_validator(mode="after")
    def _names_once(self) -> Manifest:
        names = [field.name for field in self.fields]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"fields given twice: {', '.join(sorted(double))}")
        return self

    @model_validator(mode="after")
    def _says_the_rule(self) -> Manifest:
        """Tell whoever fills the form how good the secret of the webhooks must be, of whatever kind."""
        proof = self.field(self.inbound.secret_field) if self.inbound is not None else None
        if proof is not None and proof.is_secret and RULE not in proof.help:
            told = proof.model_copy(update={"help": f"{proof.help} {RULE}".strip()})
            # Frozen for everybody else.
            self.__dict__["fields"] = tuple(told if field is proof else field for field in self.fields)
        return self

    def field(self, name: str) -> Field | None:
        """Return the field called `name`, None if there is none."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def secret_names(self) -> frozenset[str]:
        """The names of the fields that are encrypted and masked."""
        return frozenset(field.name for field in self.fields if field.is_secret)

    @property
    def takes_events(self) -> bool:
        """Tell whether events or orders go to this kind of system; it may be there to be read from alone."""
        return "deliver" in self.does or "export" in self.does

    @property
    def is_open(self) -> bool:
        """True for a connector without fields: it takes any configuration, and all of it is secret."""
        return not self.fields

    def defaults(self) -> dict[str, Any]:
        """Return the values of the fields that have one."""
        return {field.name: field.default for field in self.fields if field.default is not None}


# -- fields that several kinds have, worded once -----------------------------------------------------------------------

SUBJECT = Field(
    name="subject",
    form="text",
    help="Order {order.number} is {order.status}. Empty: what happened to what.",
)
LINES = Field(
    name="fields",
    kind="lines",
    form="line",
    help="What is listed, one per line: Customer: order.customer.name. Empty: what the event's own summary lists.",
    advanced=True,
)


def api_address(default: str, help_text: str = "") -> Field:
    """Return the field of an API's address, which most people never touch."""
    return Field(name="base_url", label="API address", kind="url", default=default, help=help_text, advanced=True)
