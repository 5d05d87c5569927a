"""Why an address is refused: one exception, one word per reason, one sentence a person can act on.

The sentences never repeat the path, the query or the user info of the URL: these may hold a token.
"""

from __future__ import annotations

MESSAGES = {
    "url_type": "The address must be text.",
    "url_control_char": "The address contains a space or a control character; remove it (a path has %20).",
    "url_backslash": "The address contains a backslash; use forward slashes.",
    "url_too_long": "The address is too long; at most {detail} characters are allowed.",
    "scheme_missing": "The address must begin with https://.",
    "scheme": "Only https:// addresses can be used; this one begins with something else.",
    "scheme_http_not_allowed": "Plain http:// is switched off here; use https://.",
    "host_missing": "The address names no host; it must look like https://host/path.",
    "userinfo": "The address contains a user name or password before an @; put credentials into a header.",
    "host_percent": "The host contains a percent sign; write the host name itself.",
    "fragment": "The address contains a # part, which is never sent; remove it.",
    "host_invalid": "The host is not a valid name or IP address.",
    "port_invalid": "The port must be a number from 1 to 65535, or left out together with its colon.",
    "idna": "The host contains characters that no domain name may have, or is not valid punycode.",
    "host_noncanonical_ip": "The host is an IP address in an unusual spelling; write a domain name.",
    "host_blocked_name": "{detail} is a name of an internal network; use a public host name.",
    "host_single_label": "{detail} is a short name that only works inside a network; use the full host name.",
    "self_target": "{detail} is this application itself: the webhook would call us in a loop.",
    "host_not_allowed": "{detail} is not a host of this kind of system; check the address.",
    "port_blocked": "Port {detail} is not open to webhooks; use 443, 80, or a free one above 1023.",
    "port_unusual": "Port {detail}, or a free port above 1023.",
    "plain_not_allowed": "Without TLS only hosts can be used that the operator has opened; choose TLS or STARTTLS.",
    "ip_metadata": "{detail} leads to a cloud metadata address, which is never allowed.",
    "ip_blocked": "{detail} leads to a private or reserved address; only public addresses can be called.",
}


OPENS = " An operator can open it: INTEGRATIONS_ALLOWED_HOSTS={place}."
MAX_PLACE = 80  # characters of a host and its port


class UrlRejected(ValueError):
    """The guard refuses an address.

    Attributes:
        reason: a stable word (a key of ``MESSAGES``), for tests, logs and metrics.
        message: what is wrong and what to do, safe to show.
        place: the ``host:port`` that an operator may open; "" where none may, or nobody knows which is meant.
    """

    def __init__(self, reason: str, detail: str = "", *, place: str = "") -> None:
        self.reason = reason
        self.place = place if len(place) <= MAX_PLACE else ""
        # A host may have up to 2,000 characters here; a message needs no more than a line.
        self.message = MESSAGES[reason].format(detail=detail[:80])
        if self.place:
            self.message += OPENS.format(place=self.place)
        super().__init__(self.message)
