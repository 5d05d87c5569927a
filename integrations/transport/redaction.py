"""Masking: what may be logged, stored and shown of a text that came from, or went to, somebody else.

In: any text, and the secrets known to be in play. Out: the text with ``***`` in their place. Never raises.
Two nets, because each has holes: known values in the encodings they travel in, and shapes that give secrets
away. Over-masking costs a word in a log; the opposite costs a key. Every pattern is linear in the text.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "***"
URL_MASK = "•••"
MIN_SECRET = 4  # characters; masking every "a" would hide the text, not the secret


_KEY_WORDS = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key"
    r"|client[_-]?secret|credentials?|authorization|signature|jsessionid|sessionid|session[_-]?key|otp"
)
_VALUE = r"""(?:\\"[^"]*"?|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&}\])"'<>]+)"""
_NOT_WORDS = r"(?!(?:auth|authentication|authorization|credentials?|realm|scheme|tokens?|is|was|not|or|and)\b)"

# (pattern, replacement), applied in this order.
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE if flag else 0), replacement)
    for flag, pattern, replacement in (
        (0, r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-----END[A-Z ]{0,40}-----)?", MASK),
        (1, r"(\b(?:set-)?cookie[\"']?\s?:\s?)[^\r\n]+", rf"\1{MASK}"),
        # The scheme's name may stand between the header's name and the value.
        (
            1,
            r"(authorization\\?[\"']?\s?[:=]\s?\\?[\"']?)(?:[a-z][\w-]{0,20} +)?[^\s\"',;\\]+",
            rf"\1{MASK}",
        ),
        (1, rf"\b((?:bearer|basic|token|negotiate)\s){_NOT_WORDS}[A-Za-z0-9+/=_.~:-]{{6,}}", rf"\1{MASK}"),
        (1, r"(://)[^\s/@?#\"'<>]{1,512}@", rf"\1{MASK}@"),
        (1, r"(hooks\.slack(?:-gov)?\.com\\?/[a-z]{1,20}\\?/)[^\s\"'<>]+", rf"\1{MASK}"),
        (
            1,
            r"((?:discord(?:app)?\.com\\?/api\\?/webhooks|webhook\.office\.com)\\?/)[^\s\"'<>]+",
            rf"\1{MASK}",
        ),
        (1, r"(api\.telegram\.org\\?/bot)[^\s\"'<>/]+", rf"\1{MASK}"),
        (1, r"([?&][\w.~%\[\]-]{1,128}=)[^&\s#\"'<>]+", rf"\1{MASK}"),
        (1, rf"((?:{_KEY_WORDS})[\w-]{{0,30}}\\?[\"']?\s?(?:=>|[:=])\s?){_VALUE}", rf"\1{MASK}"),
        (0, r"\bwh(?:sec|sk)_[A-Za-z0-9+/=_-]+", MASK),
        (0, r"\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]+", MASK),
        (0, r"\b(?:gh[pousr]_|github_pat_|glpat-|npm_|shp(?:at|ca|pa|ss)_|ya29\.)[A-Za-z0-9_.-]{10,}", MASK),
        (0, r"\b(?:sk|rk|pk)[-_](?:(?:live|test|proj|ant)[-_])?[A-Za-z0-9_-]{16,}", MASK),
        (0, r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", MASK),
        (0, r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", MASK),
        (0, r"\bAIza[A-Za-z0-9_-]{30,}", MASK),
        (0, r"\beyJ[A-Za-z0-9_-]{5,4096}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?", MASK),
    )
)
_SECRET_NAME = re.compile(_KEY_WORDS, re.IGNORECASE)
_URL = re.compile(r"(https?|smtp|sftp)://(?:[^/?#\\\s]*@)?([^/?#\\\s@]+)", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with known `secrets` and everything that looks like one replaced by ``***``.

    Args:
        secrets: plain values (API keys, passwords, signing secrets, URLs); the shortest have 4 characters.
    """
    if not text:
        return ""
    text = mask_known(text, secrets)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def mask_known(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with known `secrets` masked and everything else left: for what must stay a proof."""
    known = _known(tuple(secrets))
    return text if known is None else known.sub(MASK, text)


@lru_cache(maxsize=256)
def _known(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """One pattern for all forms of all secrets, longest first, so that no tail of a longer form stays."""
    forms: set[str] = set()
    for secret in secrets:
        if isinstance(secret, str) and len(secret) >= MIN_SECRET and secret.strip("* "):
            forms.update(_forms(secret))
    if not forms:
        return None
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))))


def _forms(secret: str) -> Iterable[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    quoted = (quote(raw, safe=""), quote(raw), quote_plus(raw))
    for encoded in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
        yield encoded.rstrip("=")
    yield secret
    yield from quoted
    yield from (re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in quoted)
    for as_ascii in (True, False):
        escaped = json.dumps(secret, ensure_ascii=as_ascii)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")  # PHP's json_encode
    yield repr(secret)[1:-1]


def is_secret_name(name: str) -> bool:
    """Tell whether a field of that name holds a secret: ``client_secret``, ``apiKey``, ``new_password``."""
    return _SECRET_NAME.search(name) is not None


def mask_url(url: object) -> str:
    """Return ``scheme://host[:port]/•••``; for what is no URL of a kind that we call, only ``•••``."""
    match = _URL.match(url.strip()) if isinstance(url, str) else None
    return f"{match[1].lower()}://{match[2]}/{URL_MASK}" if match else URL_MASK


_SAFE_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "etag",
        "host",
        "idempotency-key",
        "last-modified",
        "link",
        "notion-version",
        "prefer",
        "retry-after",
        "server",
        "user-agent",
        "webhook-attempt",
        "webhook-event",
        "webhook-id",
        "webhook-sequence",
        "webhook-timestamp",
        "x-github-api-version",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-request-id",
    }
)


def is_safe_header(name: str) -> bool:
    """Tell whether a header of that name is known to be harmless."""
    return name.lower() in _SAFE_HEADERS


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return `headers` with ``***`` for every value that is not known to be harmless (S4-37).

    A list of what may be shown, not of what may not: the name of a tenant's own authentication header is anybody's.
    """
    return {name: value if is_safe_header(name) else MASK for name, value in headers.items()}


def shown_url(url: str, *, secret_path: bool = False) -> str:
    """Return `url` as a log may show it: no user info, no fragment, every query value masked; only the host with
    `secret_path`."""
    match = _URL.match(url)
    if match is None:
        return URL_MASK
    base = f"{match[1].lower()}://{match[2]}"
    rest = url[match.end() :].partition("#")[0]
    if secret_path:
        return base if rest in ("", "/") else f"{base}/{MASK}"
    path, question, query = rest.partition("?")
    names = "&".join(f"{pair.partition('=')[0]}={MASK}" for pair in query.split("&")) if query else ""
    return redact(base + path) + question + names
