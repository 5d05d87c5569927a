"""Showing what somebody else sent us: escaped, capped, with nothing that acts on the screen, and no secret.

A webhook's body and headers are a stranger's until its signature is proven, and rejected ones are kept too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integrations.pages.display import NOTHING
from integrations.tenancy.harmless_text import harmless
from integrations.transport.redaction import MASK, is_secret_name, redact

MOST = 65_536  # characters of one text on a page
HEADERS_SHOWN = 60
VALUE_SHOWN = 300  # characters of a header
HIDDEN = "•••"
_PROOF = re.compile(r"sign|hmac|digest|(^|[-_])(sig|hash|proof)($|[-_])", re.IGNORECASE)


def shown_json(value: Any, secrets: Iterable[str] = ()) -> SafeString | str:
    """Return a JSON value indented for reading, values with telling names hidden; a dash for nothing."""
    if value in (None, "", {}, []):
        return NOTHING
    try:
        text = json.dumps(_without_secrets(value), indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return _("It is nested too deeply to be shown.")
    return _block(text, len(text), secrets)


def shown_body(body: Any, secrets: Iterable[str] = ()) -> SafeString | str:
    """Return the raw bytes as text; what is no UTF-8 as ``\\xff``."""
    raw = bytes(body or b"")
    if not raw:
        return NOTHING
    return _block(raw[: MOST * 4].decode("utf-8", "backslashreplace"), len(raw), secrets, unit="bytes")


def shown_headers(headers: Any, secrets: Iterable[str] = ()) -> SafeString | str:
    """Return the stored headers as a table; of what may be a signature only how long it is."""
    if not isinstance(headers, Mapping) or not headers:
        return NOTHING
    known = tuple(secrets)
    rows = [
        (harmless(str(name))[:100], _header(str(name), str(value), known))
        for name, value in sorted(headers.items(), key=lambda pair: str(pair[0]).lower())
    ]
    body = format_html_join("", '<tr><th scope="row">{}</th><td>{}</td></tr>', rows[:HEADERS_SHOWN])
    more = format_html("<p>… and {} more</p>", len(rows) - HEADERS_SHOWN) if len(rows) > HEADERS_SHOWN else ""
    return format_html('<div class="ig-scroll"><table class="ig-table ig-headers">{}</table></div>{}', body, more)


def masked_value(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Return a JSON value for programs: values with telling names hidden, every text without what may be a secret.

    None where it is nested too deeply to be shown.
    """
    known = tuple(secrets)

    def masked(each: Any) -> Any:
        if isinstance(each, Mapping):
            return {str(key): masked(inner) for key, inner in each.items()}
        if isinstance(each, list):
            return [masked(inner) for inner in each]
        return redact(each, known) if isinstance(each, str) else each

    try:
        return masked(_without_secrets(value))
    except RecursionError:
        return None


def masked_body(body: Any, secrets: Iterable[str] = ()) -> str:
    """Return the raw bytes as text for programs, without what may be a secret; at most MOST characters of it."""
    raw = bytes(body or b"")
    return redact(raw[: MOST * 2].decode("utf-8", "backslashreplace"), tuple(secrets))[:MOST]


def masked_headers(headers: Any, secrets: Iterable[str] = ()) -> dict[str, str]:
    """Return the stored headers for programs; of what may be a signature only how long it is."""
    if not isinstance(headers, Mapping):
        return {}
    known = tuple(secrets)
    return {str(name)[:100]: _header(str(name), str(value), known) for name, value in headers.items()}


def _header(name: str, value: str, secrets: tuple[str, ...]) -> str:
    if _PROOF.search(name):
        # Not even its beginning: a provider may send the shared secret itself under such a name.
        return _("{mask} ({count} characters)").format(mask=MASK, count=len(value))
    if is_secret_name(name) or re.search(r"cookie|auth", name, re.IGNORECASE):
        return HIDDEN
    return harmless(redact(value[:VALUE_SHOWN], secrets)) + ("…" if len(value) > VALUE_SHOWN else "")


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if is_secret_name(str(key)) and inner not in (None, "") else _without_secrets(inner)
            for key, inner in value.items()
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _block(text: str, length: int, secrets: Iterable[str], unit: str = gettext_noop("characters")) -> SafeString:
    # Redacted before it is cut, or half a secret at the edge would pass; cut before that, or a page could take seconds.
    text = harmless(redact(text[: MOST * 2], tuple(secrets)))
    note = ""
    if len(text) > MOST:
        words = _("Cut: the beginning of {count:,} {unit}.").format(count=length, unit=_(unit))
        note = format_html('<p class="ig-quiet">{}</p>', words)
    return format_html('<pre class="ig-code ig-payload" tabindex="0">{}</pre>{}', text[:MOST], note)
