"""A write that is sent twice is done once: the header ``Idempotency-Key`` names it, the second gets the same answer.

Kept for a day, by the caller: a person or a key. The same key with another request is refused (422); while the first is
under way, the second is (409).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, get_type_hints

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from integrations import clock
from integrations.api.caller import caller_of
from integrations.api_keys.models import IdempotentRequest
from integrations.api_keys.retention import KEPT

from .problems import problem

HEADER = "Idempotency-Key"
LONGEST = 255
UNDER_WAY = timedelta(minutes=2)  # then whoever began it is taken for dead
_KEPT = "_idempotent_request"


def once(view: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an operation that writes: with the header, it is done once. `remembers` keeps its answer."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER, "")
        if not key:
            return view(request, *args, **kwargs)
        if len(key) > LONGEST or not key.isprintable():
            return problem(400, "wrong_idempotency_key", f"{HEADER} has at most {LONGEST} printable characters.")
        digest = hashlib.sha256(f"{request.method} {request.path}\n".encode() + request.body).hexdigest()
        kept, is_first = _begin(caller_of(request).identity, key, digest)
        if kept is None or not is_first:
            return _again(kept, digest)
        setattr(request, _KEPT, kept)
        return view(request, *args, **kwargs)

    # Written as text where the view is; the wrapper's module does not know them.
    hints = get_type_hints(view, include_extras=True)
    signature = inspect.signature(view)
    parameters = [one.replace(annotation=hints.get(name, Any)) for name, one in signature.parameters.items()]
    answered.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    answered.__annotations__ = hints
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
            _end(kept, response)
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


def _again(kept: IdempotentRequest | None, digest: str) -> HttpResponse:
    if kept is not None and kept.digest != digest:
        words = f"This {HEADER} was used for another request; take a new one for each."
        return problem(422, "idempotency_key_reused", words)
    if kept is None or kept.status is None:
        return problem(409, "under_way", "The same request is still under way; ask again in a moment.")
    response = HttpResponse(kept.answer, content_type=kept.content_type, status=kept.status)
    response["Idempotent-Replayed"] = "true"
    return response


def _end(kept: IdempotentRequest, response: Any) -> None:
    """Keep the answer; whoever took longer than UNDER_WAY may have been taken over, and keeps nothing."""
    IdempotentRequest.objects.filter(pk=kept.pk).update(
        status=response.status_code,
        answer=response.content.decode(),
        content_type=response.headers.get("Content-Type", "application/json")[:100],
    )
