"""Conditional requests: ``ETag``, ``If-None-Match`` (304), ``If-Match`` (412: somebody else was faster).

    response["ETag"] = tag = etag_of(shown)
    if unchanged := refuse_stale(request, tag):
        return unchanged

A tag stands for a state and not for bytes: ``W/"…"``, into which proxies that compress turn it, is the same.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.http import parse_etags

from .problems import ProblemDetails, Refused

READS: dict[int, Any] = {304: None}  # what a read with If-None-Match may be answered besides
WRITES: dict[int, Any] = {412: ProblemDetails}  # and a write with If-Match


def etag_of(state: Any) -> str:
    """Return the tag of `state`, which is JSON with dates and UUIDs."""
    text = json.dumps(state, cls=DjangoJSONEncoder, sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def refuse_stale(request: HttpRequest, etag: str | None) -> HttpResponse | None:
    """Return the answer 304 where the caller has this state already; None: go on.

    Args:
        etag: of what is there now; None: nothing is.

    Raises:
        Refused: 412, the state is another one than the caller says.
    """
    given = request.headers.get("If-Match")
    if given is not None and not _names(given, etag):
        words = "It is not there (any more)." if etag is None else "Somebody else changed it; read it again."
        raise Refused(412, "changed_meanwhile", words, headers={"ETag": etag} if etag else None)
    given = request.headers.get("If-None-Match")
    if given is None or not _names(given, etag):
        return None
    if request.method not in ("GET", "HEAD"):
        raise Refused(412, "changed_meanwhile", "It is there already; read it.", headers={"ETag": str(etag)})
    answer = HttpResponseNotModified()
    answer["ETag"] = str(etag)
    return answer


def _names(header: str, etag: str | None) -> bool:
    """Tell whether the tags of a header name this one; ``*`` names whatever is there."""
    return etag is not None and bool({"*", etag} & {tag.removeprefix("W/") for tag in parse_etags(header)})
