"""A request as a command for a shell: what is secret is a variable, what is signed is signed anew.

In: an exchange, masked. Out: text that bash and other POSIX shells run. It never holds more than the exchange does.
"""

from __future__ import annotations

import re
from shlex import quote

from django.utils.translation import gettext as _

from integrations.audit.exchanges import Exchange
from integrations.transport.redaction import MASK, URL_MASK

_LEFT_OUT = frozenset({"host", "content-length"})  # curl says them itself
_HMAC = "v1,"  # "v1a," is signed with a private key
_NO_NAME = re.compile(r"[^A-Z0-9]+")


def as_curl(exchange: Exchange) -> str:
    """Return `exchange` as a command.

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
