"""Is a configuration complete and well-formed? One set of rules, from the manifest, for forms, API and code.

In: a manifest and a flat dict. Out: the dict with defaults and proper types, and a sentence per field that is wrong.
No sentence holds a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.credentials.masking import MASK
from integrations.errors import ConfigurationError, IntegrationBlocked, forgets_locals
from integrations.tenancy.harmless_text import problem_of
from integrations.transport.guard.check import check_allowed
from integrations.transport.guard.hosts import canonical_host
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.guard.rejected import UrlRejected
from integrations.transport.http.headers import HeaderRejected, check_headers
from integrations.transport.redaction import is_secret_name, texts_in

from . import inbound_secret, texts
from .manifest import HEADERS, URL, Field, Manifest

MAX_TEXT = 16384  # a PEM key is the longest thing that anybody types
MAX_SECRETS = 5  # that prove one and the same webhook: each is tried on every call, a stranger's too
_BULLET = MASK[0]
_DOTS = gettext_lazy("remove the dots: they stand for a stored value; type the value itself")
# White space that nobody sees, beside what `str.strip` knows: zero-width ones, a byte order mark, a soft hyphen.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_WEBHOOK_KEY = re.compile(r"wh(?:sec|sk|pk)_\S*")  # has no space in it, whatever field it is in
_TRUE, _FALSE = {"true", "on", "yes", "1"}, {"false", "off", "no", "0", ""}


class _Wrong(ValueError):
    """One value is wrong; the text says what to do."""


class _WrongIfNew(_Wrong):
    """Nobody may enter this, but where it is stored and works it may stay: other settings must be changeable."""


@forgets_locals
def checked(manifest: Manifest, settings: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return `settings` with defaults filled in and values in their types.

    Args:
        stored: those in whose place they come.

    Raises:
        ConfigurationError: with a sentence for every field that is missing, unknown or wrong.
    """
    clean, problems = check(manifest, settings, stored)
    if problems:
        raise ConfigurationError(problems)
    return clean


def check(
    manifest: Manifest, settings: Mapping[str, Any], stored: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (clean settings, {field: what is wrong}); never raises. `stored`: those in whose place they come."""
    if manifest.is_open:
        return _open(settings)
    problems = {
        name: f"unknown; {manifest.label} has: {', '.join(field.name for field in manifest.fields)}"
        for name in settings
        if manifest.field(name) is None
    }
    clean: dict[str, Any] = {}
    proofs = manifest.inbound.secret_field if manifest.inbound is not None else ""
    for field in manifest.fields:
        value = settings.get(field.name)
        if _is_empty(field, value):
            if field.required and field.default is None:
                problems[field.name] = _("missing; it is required")
            elif field.default is not None:
                clean[field.name] = field.default
            continue
        try:
            clean[field.name] = _typed(field, value, manifest)
            if field.name == proofs:
                _refuse_many(clean[field.name])
        except _Wrong as wrong:
            if isinstance(wrong, _WrongIfNew) and stored is not None and stored.get(field.name) == value:
                clean[field.name] = value
                continue
            problems[field.name] = str(wrong)
            clean.pop(field.name, None)
    if manifest.inbound is not None and inbound_secret.has_weak(manifest.inbound, clean, stored):
        problems[manifest.inbound.secret_field] = inbound_secret.WEAK
        del clean[manifest.inbound.secret_field]
    return clean, problems


def check_inbound_secret(value: Any, stored: Any = None) -> str:
    """Return what is wrong with a secret for webhooks of a kind that has no field for it, "" if nothing is.

    Args:
        stored: that in whose place it comes; the same may stay.
    """
    if not isinstance(value, str) or value != value.strip():
        return _("must be a text without spaces around it")
    if not value or value == stored:
        return ""
    if _BULLET in value:
        return str(_DOTS)
    try:
        _refuse_many(value)
    except _Wrong as wrong:
        return str(wrong)
    return inbound_secret.WEAK if inbound_secret.any_weak(inbound_secret.lines(value), "") else ""


def _refuse_many(secrets: Any) -> None:
    if len(inbound_secret.lines(secrets)) > MAX_SECRETS:
        raise _WrongIfNew(
            _("at most {max_secrets} secrets, one per line: the new one and the previous one are enough").format(
                max_secrets=MAX_SECRETS
            )
        )


def _is_empty(field: Field, value: Any) -> bool:
    """Spaces are nothing, and so are lines of them; `{}`, `0` and `False` are something."""
    if isinstance(value, str):
        return not value.strip()
    if field.kind == "lines" and isinstance(value, list | tuple):
        return all(isinstance(line, str) and not line.strip() for line in value)
    return value is None or (isinstance(value, list | tuple) and not value)


def _open(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Check the settings of a connector without fields: any, but headers are headers everywhere."""
    clean, problems = dict(settings), {}
    if clean.get(HEADERS):
        try:
            clean[HEADERS] = _json(Field(name=HEADERS, kind="json"), clean[HEADERS])
        except _Wrong as wrong:
            problems[HEADERS] = str(wrong)
    for name, value in clean.items():
        if name not in problems and any(MASK in text for text in texts_in(value)):
            problems[name] = str(_DOTS)
    return clean, problems


def _typed(field: Field, value: Any, manifest: Manifest) -> Any:
    if field.kind == "boolean":
        return _boolean(value)
    if field.kind == "integer":
        return _integer(field, value)
    if field.kind == "json":
        return _json(field, value)
    if field.kind == "lines":
        lines = value.splitlines() if isinstance(value, str) else value
        if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
            raise _Wrong(_("must be a list of texts, one per line"))
        return [_text(field, line.strip()) for line in lines if line.strip()]
    if not isinstance(value, str):
        raise _Wrong(_("must be text"))
    if MASK in value or (_BULLET in value and (field.is_secret or field.name == URL)):
        raise _Wrong(_DOTS)
    text = _text(field, _trimmed(value, trim=field.trim) if field.is_secret else value.strip())
    if field.kind == "choice" and text not in field.choices:
        raise _Wrong(_("must be one of: {choices}").format(choices=", ".join(field.choices)))
    if field.kind == "url":
        _check_url(text, manifest)
    if field.kind == "host":
        text = _host(text)
    if field.kind == "email":
        _check_email(text)
    return text


def doubts(manifest: Manifest, settings: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return {secret: question} for those with white space around them that may belong to them; not what is `stored`.

    Nobody sees it, and whoever pasted it gets 401 for ever. A page may ask; whoever cannot be asked is refused.
    """
    found = {}
    for name, value in settings.items():
        field = manifest.field(name)
        is_secret = is_secret_name(name) if field is None else field.is_secret
        if not (is_secret and isinstance(value, str) and value.strip()) or value == (stored or {}).get(name):
            continue
        lines = value.strip("\r\n").splitlines()
        if wrong := [number for number, line in enumerate(lines, start=1) if line != _bare(line)]:
            which = _("line {number} ").format(number=wrong[0]) if len(lines) > 1 else ""
            found[name] = _("{which}begins or ends with a space or an invisible character; remove it").format(
                which=which
            )
    return found


def _trimmed(secret: str, *, trim: bool) -> str:
    """Return `secret`, each line of it, without the white space around it that cannot belong to it."""
    lines = secret.strip("\r\n").replace("\r\n", "\n").split("\n")
    bare = [_bare(line) for line in lines]
    return "\n".join(
        short if trim or _WEBHOOK_KEY.fullmatch(short) else line for line, short in zip(lines, bare, strict=True)
    ).strip("\n")


def _bare(line: str) -> str:
    before = None
    while line != before:
        before, line = line, line.strip().strip(_INVISIBLE)
    return line


def _text(field: Field, text: str) -> str:
    if len(text) > MAX_TEXT:
        raise _Wrong(_("longer than {max_text} characters").format(max_text=MAX_TEXT))
    if "\0" in text or (not text.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in text)):
        raise _Wrong(_("contains a character that cannot be sent"))
    if not field.is_secret and (problem := problem_of(text, has_lines=True)):
        raise _Wrong(problem)
    if field.pattern and not re.fullmatch(field.pattern, text):
        raise _Wrong(field.hint or _("must match {pattern}").format(pattern=field.pattern))
    if problem := texts.problem_of(field.form, text):
        raise _WrongIfNew(problem)
    return text


def _boolean(value: Any) -> bool:
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else "?"
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _Wrong(_("must be true or false"))


def _integer(field: Field, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip(), re.ASCII):
        value = int(value)
    # Not str(value): Python refuses to print a number of five thousand digits.
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**18:
        raise _Wrong(_("must be a whole number"))
    if field.minimum is not None and value < field.minimum:
        raise _Wrong(_("must be at least {minimum}").format(minimum=field.minimum))
    if field.maximum is not None and value > field.maximum:
        raise _Wrong(_("must be at most {maximum}").format(maximum=field.maximum))
    return value


def _json(field: Field, value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = _Wrong(_("must be JSON"))
        if isinstance(value, _Wrong):
            raise value
    if any(MASK in text for text in texts_in(value)):
        raise _Wrong(_DOTS)
    if not _is_storable(value):
        raise _Wrong(_("must be JSON, without NaN and characters that cannot be sent"))
    if field.name == HEADERS:
        try:
            return check_headers(value)
        except HeaderRejected as rejected:
            problem = rejected.message
        raise _Wrong(problem)
    return value


def _is_storable(value: Any) -> bool:
    """Tell whether the database takes `value` as JSON: PostgreSQL refuses a NUL, and nobody takes a NaN."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return "\\u0000" not in text.replace("\\\\", "")


def _check_url(text: str, manifest: Manifest) -> None:
    problem = ""
    try:
        check_allowed(text, manifest.allowed_hosts, AddressPolicy.from_conf())
    except IntegrationBlocked as blocked:
        problem = blocked.message
    if problem:
        raise _Wrong(problem)


def _host(text: str) -> str:
    try:
        # What comes out must go in again: an IPv6 address is stored without its brackets.
        return canonical_host(text.removeprefix("[").removesuffix("]"), bracketed=":" in text).name
    except UrlRejected as rejected:
        problem = rejected.message
    raise _Wrong(problem)


def _check_email(text: str) -> None:
    try:
        validate_email(text)
    except ValidationError:
        text = ""
    if not text:
        raise _Wrong(_("must be an e-mail address"))
