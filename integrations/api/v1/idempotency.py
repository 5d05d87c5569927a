"""A write that is sent twice is done once: the header ``Idempotency-Key`` names it, the second gets the same answer.

Kept for a day, by the caller: a person or a key. The same key with another request is refused (422); while the first is
under way, the second is (409). Answers are kept encrypted: one may hold a new signing secret. They are told only as
long as the caller may do what was done: roles and tenants are lost within a day, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from integrations.api.caller import caller_of
from integrations.api_keys.models import IdempotentRequest
from integrations.api_keys.retention import KEPT
from integrations.credentials.encryption import EncryptionService
from integrations.database import clock
from integrations.errors import EncryptionError

from .document import HEADER, LONGEST
from .problems import problem

UNDER_WAY = timedelta(minutes=2)  # then the process that began it is taken for dead
READING = ("GET", "HEAD")
_HEADERS = ("ETag", "Location", "Cache-Control")  # kept with the answer
_KEPT = "_idempotent_request"


def once(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate every operation of the API: with the header, a write is done once. `remembers` keeps its answer."""

    @wraps(operation)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        key = "" if request.method in READING else request.headers.get(HEADER, "")
        if not key:
            return operation(request, *args, **kwargs)
        if len(key) > LONGEST or not key.isprintable():
            return problem(400, "wrong_idempotency_key", f"{HEADER} has at most {LONGEST} printable characters.")
        asked = f"{request.method} {request.get_full_path()}\n".encode()
        digest = hashlib.sha256(asked + request.body).hexdigest()
        kept, is_first = _begin(caller_of(request).identity, key, digest)
        if kept is None or not is_first:
            return _again(request, kept, digest)
        setattr(request, _KEPT, kept)
        return operation(request, *args, **kwargs)

    return answered


def remembers(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate every view of the API: keep the answer of a write that named itself. A refused one may be sent again."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        is_over = False
        try:
            response = view(request, *args, **kwargs)
            is_over = response.status_code < 400
        finally:
            kept: IdempotentRequest | None = getattr(request, _KEPT, None)
            if kept is not None and not is_over:
                kept.delete()
        if kept is not None and is_over:
            _end(request, kept, response)
        return response

    return answered


def _begin(whose: str, key: str, digest: str) -> tuple[IdempotentRequest | None, bool]:
    """Return what is kept of the request, and whether this is the first; None: the first has just been refused."""
    now = clock.now()
    IdempotentRequest.objects.filter(caller=whose, key=key, made_at__lt=now - KEPT).delete()
    IdempotentRequest.objects.filter(caller=whose, key=key, status=None, made_at__lt=now - UNDER_WAY).delete()
    try:
        with transaction.atomic():
            return IdempotentRequest.objects.create(caller=whose, key=key, digest=digest, made_at=now), True
    except IntegrityError:
        return IdempotentRequest.objects.filter(caller=whose, key=key).first(), False


def _again(request: HttpRequest, kept: IdempotentRequest | None, digest: str) -> HttpResponse:
    if kept is not None and kept.digest != digest:
        words = f"This {HEADER} was used for another request; take a new one for each."
        return problem(422, "idempotency_key_reused", words)
    if kept is None or kept.status is None:
        words = "The same request is still under way; ask again in a moment."
        return problem(409, "under_way", words, headers={"Retry-After": "1"})
    try:
        answer = json.loads(EncryptionService.open(kept.answer, _bound_to(kept)))
    except EncryptionError:
        # Its key was retired within the day.
        return problem(409, "answer_lost", "It was done, but its answer cannot be read any more. Read what is there.")
    caller_of(request).require_again(answer.get("granted", ()))
    response = HttpResponse(answer["body"], content_type=kept.content_type, status=kept.status)
    for name, value in answer["headers"].items():
        response[name] = value
    response["Idempotent-Replayed"] = "true"
    return response


def _end(request: HttpRequest, kept: IdempotentRequest, response: Any) -> None:
    """Keep the answer; a request that took longer than UNDER_WAY may have been taken over, and keeps nothing."""
    headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
    granted = caller_of(request).granted
    answer = json.dumps({"body": response.content.decode(), "headers": headers, "granted": granted})
    IdempotentRequest.objects.filter(pk=kept.pk).update(
        status=response.status_code,
        answer=EncryptionService.seal(answer, _bound_to(kept)),
        content_type=response.headers.get("Content-Type", "application/json")[:100],
    )


def _bound_to(kept: IdempotentRequest) -> str:
    return f"answer to {kept.caller}: {kept.key}"
