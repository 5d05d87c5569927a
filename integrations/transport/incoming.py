"""The body of a successful answer, read for its content: whole or not at all.

Errors:
    IntegrationPermanentError   ``too_large``: larger than MAX_READ_BYTES
    IntegrationTemporaryError   ``cut``: it broke off; ``bad_json``: it is no JSON (RFC 8259: NaN is none)
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from integrations import conf
from integrations.errors import IntegrationPermanentError, IntegrationTemporaryError

from .response import Response


def whole_body(response: Response) -> bytes:
    """Return the body, decompressed."""
    if not response.body_cut:
        return response.body
    if len(response.body) >= conf.MAX_READ_BYTES:
        raise IntegrationPermanentError(
            f"the answer is larger than {conf.MAX_READ_BYTES} bytes", code="too_large", status=response.status
        )
    raise IntegrationTemporaryError("the answer broke off", code="cut", status=response.status)


def parsed_json(response: Response) -> Any:
    """Return the JSON value, None for an empty body."""
    body = whole_body(response)
    if not body.strip():
        return None
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):  # json's own words quote the body
        pass
    raise IntegrationTemporaryError(
        "the answer is a success, but its body is no JSON", code="bad_json", status=response.status
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
