"""Masking: what may be logged, stored and shown of a text that came from, or went to, somebody else.

In: any text, and the secrets known to be in play. Out: the text with ``***`` in their place. Never raises.
Two nets, because each has holes: known values in the encodings they travel in, and shapes that give secrets
away. Over-masking costs a word in a log; the opposite costs a key. Every pattern is linear in the text.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
URL_MASK = "•••"
MIN_SECRET = 4  # characters; masking every "a" would hide the text, not the secret
_MIN_CORE = 7  # characters of base64; a shorter piece is found in anybody's text

_RUN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-\\%")  # what base64 is written with
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_URI = ";,/?:@&=+$-_.!~*'()#"  # what encodeURI leaves
_SAFE_JSON = tuple(
    str.maketrans({char: f"\\u{spelt.format(ord(char))}" for char in "<>&'"}) for spelt in ("{:04x}", "{:04X}")
)

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
        (0, r"(\biok_[A-Za-z0-9]{12}_)[A-Za-z0-9]+", rf"\1{MASK}"),  # an API key of ours; what is left names it
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
    plain, encoded = _known(tuple(secrets))
    if encoded is not None:
        text = _mask_runs(text, encoded)
    return text if plain is None else plain.sub(MASK, text)


@lru_cache(maxsize=256)
def _known(secrets: tuple[str, ...]) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """Return a pattern for all spellings of all secrets, and one for what base64 of a text that holds one has in it."""
    usable = [secret for secret in secrets if isinstance(secret, str)]
    lines = [line.strip() for secret in usable if "\n" in secret for line in secret.splitlines()]
    spelt: set[str] = set()
    cores: set[str] = set()
    for secret in (*usable, *lines):
        if len(secret) >= MIN_SECRET and secret.strip("* "):
            spelt.update(form for spell in _SPELLINGS for form in spell(secret))
            cores.update(_base64_cores(secret))
    return _any_of(spelt), _any_of(cores)


def _any_of(forms: set[str]) -> re.Pattern[str] | None:
    """Match any of `forms`, the longest first, so that no tail of a longer one stays."""
    if not forms:
        return None
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))))


def _mask_runs(text: str, encoded: re.Pattern[str]) -> str:
    """Mask each match with all of the base64 around it: the login that it is a part of, and what its edges tell."""
    parts, end = [], 0
    for match in encoded.finditer(text):
        if match.end() <= end:
            continue
        start, stop = max(match.start(), end), match.end()
        while start > end and text[start - 1] in _RUN:
            start -= 1
        while stop < len(text) and (text[stop] in _RUN or text[stop] == "="):
            stop += 1
        parts += [text[end:start], MASK]
        end = stop
    return "".join([*parts, text[end:]])


# -- how a secret may be spelt; another spelling belongs into _SPELLINGS and nowhere else ---------------------------


def _itself(secret: str) -> Iterable[str]:
    yield secret
    yield " ".join(secret.split())  # as an excerpt has it
    yield repr(secret)[1:-1]


def _raw(secret: str) -> list[bytes]:
    """Return its bytes: UTF-8, and what older clients send (RFC 7617 leaves it open)."""
    found = [secret.encode("utf-8", "surrogatepass")]
    if not secret.isascii():
        with suppress(UnicodeEncodeError):
            found.append(secret.encode("latin-1"))
    return found


def _percent(secret: str) -> Iterable[str]:
    for raw in _raw(secret):
        # RFC 3986; with "/" left; forms; JavaScript's encodeURIComponent and encodeURI
        texts = [quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="!~*'()"), quote(raw, safe=_URI)]
        texts.append(quote(texts[0], safe=""))  # an address in an address
        yield from texts
        yield from (_PERCENT.sub(lambda match: match[0].lower(), text) for text in texts)


def _json(secret: str) -> Iterable[str]:
    for as_ascii in (True, False):
        escaped = json.dumps(secret, ensure_ascii=as_ascii)[1:-1]
        # as it is; PHP; Go, Rails and Django's json_script; JSON in JSON
        safe = [escaped.translate(table) for table in _SAFE_JSON]
        for text in (escaped, escaped.replace("/", "\\/"), *safe):
            yield text
            yield json.dumps(text, ensure_ascii=False)[1:-1]


def _html(secret: str) -> Iterable[str]:
    named = html.escape(secret)
    yield named
    yield named.replace("&#x27;", "&#39;")  # Python's and PHP's spelling of an apostrophe
    yield named.replace("&#x27;", "&apos;")
    yield named.replace("&#x27;", "'")
    yield html.escape(secret, quote=False)
    yield named.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    yield named.replace("&#x27;", "&#39;").replace("&quot;", "&#34;").replace("+", "&#43;")  # Go's html/template


def _base64(secret: str) -> Iterable[str]:
    for raw in _raw(secret):
        for encoded in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
            yield encoded.rstrip("=")


def _hex(secret: str) -> Iterable[str]:
    for raw in _raw(secret):
        yield raw.hex()
        yield raw.hex().upper()


_SPELLINGS = (_itself, _percent, _json, _html, _base64, _hex)


def _base64_cores(secret: str) -> Iterable[str]:
    """Yield the characters that are always there when a text with `secret` in it is encoded, wherever it stands in it.

    Three bytes are four characters, so there are three cores, each without the characters that its neighbours share.
    """
    for raw in _raw(secret):
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + raw).decode()
            core = encoded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
            if len(core) >= _MIN_CORE:
                yield core
                yield core.replace("+", "-").replace("/", "_")
                yield core.replace("/", "\\/")
                yield quote(core, safe="")
                yield _PERCENT.sub(lambda match: match[0].lower(), quote(core, safe=""))


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in `value`, at any depth: a connector without a manifest keeps what it likes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(inner)


def is_secret_name(name: str) -> bool:
    """Tell whether a field of that name holds a secret: ``client_secret``, ``apiKey``, ``new_password``."""
    return _SECRET_NAME.search(name) is not None


def mask_url(url: object) -> str:
    """Return ``scheme://host[:port]/•••``; for what is no URL of a kind that we call, only ``•••``."""
    match = _URL.match(url.strip()) if isinstance(url, str) else None
    return f"{match[1].lower()}://{match[2]}/{URL_MASK}" if match else URL_MASK


PLAIN_HEADERS = frozenset(  # what requests, answers and webhooks say of themselves
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "host",
        "idempotency-key",
        "traceparent",
        "user-agent",
        "webhook-attempt",
        "webhook-event",
        "webhook-id",
        "webhook-payload-version",
        "webhook-sequence",
        "webhook-test",
        "webhook-timestamp",
        "x-request-id",
    }
)
_SAFE_HEADERS = PLAIN_HEADERS | {
    "etag",
    "last-modified",
    "link",
    "notion-version",
    "prefer",
    "retry-after",
    "server",
    "x-github-api-version",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
}


def is_safe_header(name: str) -> bool:
    """Tell whether a header of that name is known to be harmless."""
    return name.lower() in _SAFE_HEADERS


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return `headers` with ``***`` for every value that is not known to be harmless.

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
