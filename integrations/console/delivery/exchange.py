"""One request and its answer, as the page shows them: read, and as a command for a shell."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from shlex import quote

from django.utils.translation import gettext as _

from integrations.audit.exchanges import Exchange, masked, masked_text
from integrations.connections.payloads import PayloadFailed, bytes_of
from integrations.outbox.models import IntegrationSync
from integrations.transport.redaction import MASK, URL_MASK

FORMATTED = 65_536  # characters of JSON that are indented; a longer one is shown as it went out


@dataclass(frozen=True, slots=True)
class Shown:
    """One exchange for the page.

    Attributes:
        request: the exact text of the request: its first line, a mail's or file's envelope, and its head.
        body: as it went out, secrets masked. `pretty`: the same, indented, "" if it is no JSON.
        answer_head: the exact text of the answer's head.
    """

    exchange: Exchange
    request: str
    body: str
    pretty: str
    answer_head: str
    curl: str

    @property
    def is_ok(self) -> bool:
        """Tell whether it was taken; of a request its status says so."""
        if not self.exchange.is_http:
            return not self.exchange.error
        return self.exchange.status is not None and 200 <= self.exchange.status < 300


def shown(exchange: Exchange, secrets: tuple[str, ...] | None) -> Shown:
    """Return `exchange` for the page.

    Args:
        secrets: of the integration as it is now; None: they cannot be read.
    """
    exchange = masked(exchange, secrets)
    body = exchange.body
    first = f"{exchange.method} {exchange.url}".strip()
    first = "\n".join([first, *(f"{name}: {value}" for name, value in exchange.envelope)])
    head = "\n".join(f"{name}: {value}".rstrip() for name, value in exchange.head)
    status = f"HTTP {exchange.status}" if exchange.status is not None else ""
    answer_head = "\n".join(filter(None, (status, *(f"{name}: {value}" for name, value in exchange.answer_head))))
    return Shown(
        exchange=exchange,
        request=f"{first}\n{head}" if head else first,
        body=body or "",
        pretty=pretty(body or ""),
        answer_head=answer_head,
        curl=as_curl(exchange) if exchange.head and exchange.is_http else "",
    )


def payload_of(sync: IntegrationSync, secrets: tuple[str, ...] | None) -> str:
    """Return what `sync` sends, indented if possible, masked as `shown` does it."""
    try:
        body = bytes_of(sync.payload, sync.body).decode() if sync.payload else sync.body
    except PayloadFailed as failure:
        return failure.message
    body = masked_text(body, secrets)
    return pretty(body) or body


def pretty(text: str) -> str:
    """Return JSON indented for reading; "" if it is none, or too long."""
    if not text or len(text) > FORMATTED:
        return ""
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else ""


_LEFT_OUT = frozenset({"host", "content-length"})  # curl says them itself
_HMAC = "v1,"  # "v1a," is signed with a private key
_NO_NAME = re.compile(r"[^A-Z0-9]+")


def as_curl(exchange: Exchange) -> str:
    """Return `exchange`, which is masked, as text that bash and other POSIX shells run.

    What was masked becomes ``$HEADER_AUTHORIZATION``, ``$WEBHOOK_URL`` and so on, listed on top. A signature would be
    too old by the time somebody runs this: it is made anew with ``$WEBHOOK_SECRET``, and the time with it.

    Headers and bodies are a tenant's, and the shell is somebody else's: a header "AWS-Secret-Access-Key" must not send
    the variable of that name, nor a body that begins with "@" a file.
    """
    head = [(name, value) for name, value in exchange.head if name.lower() not in _LEFT_OUT]
    names = {name.lower() for name, _ in head}
    by_name = {name.lower(): value for name, value in head}
    is_signed = by_name.get("webhook-signature", "").startswith(_HMAC)
    needed: list[str] = []
    lines: list[str] = []

    url = exchange.url
    if URL_MASK in url or MASK in url:
        needed.append("WEBHOOK_URL")
        shown_url = '"$WEBHOOK_URL"'
    else:
        shown_url = quote(url)
    options = [f"-X {quote(exchange.method)} {shown_url}"]
    for name, value in head:
        if is_signed and name.lower() in ("webhook-timestamp", "webhook-signature"):
            variable = "$timestamp" if name.lower() == "webhook-timestamp" else "v1,$signature"
            options.append(f'-H {quote(f"{name}: ")}"{variable}"')
        elif value == MASK:
            variable = f"HEADER_{_NO_NAME.sub('_', name.upper()).strip('_')}"
            needed.append(variable)
            options.append(f'-H {quote(f"{name}: ")}"${variable}"')
        else:
            options.append(f"-H {quote(f'{name}: {value}' if value else f'{name};')}")
    if "accept" not in names:
        options.append("-H 'Accept:'")  # curl would add its own
    if exchange.body is not None:
        if "content-type" not in names:
            options.append("-H 'Content-Type:'")
        lines.append(f"body={quote(exchange.body)}")
        options.append('--data-raw "$body"')
    if is_signed:
        needed.append("WEBHOOK_SECRET")
        lines += [
            "timestamp=$(date +%s)",
            'key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d " \\n")',
            f'signature=$(printf %s {quote(by_name.get("webhook-id", ""))}".$timestamp.$body" |'
            ' openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)',
        ]
    top = ["# " + _("Set first: {names}").format(names=", ".join(dict.fromkeys(needed)))] if needed else []
    if exchange.is_hidden:
        top.append("# " + _("Its body was made of credentials and is not kept."))
    elif exchange.is_cut:
        top.append("# " + _("The body had {size} bytes; only its beginning is kept.").format(size=exchange.size))
    elif exchange.body is not None and MASK in exchange.body:
        top.append("# " + _("{mask} in the body stands for a secret.").format(mask=MASK))
    command = "curl -sS -i " + " \\\n  ".join(options)
    return "\n".join([*top, *lines, command])
