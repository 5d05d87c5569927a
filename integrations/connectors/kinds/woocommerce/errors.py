"""What WooCommerce's refusals mean: ``{"code": …, "message": …, "data": {"status": …}}``.

In: an answer, and the error that the default table makes of its status. Out: an error that names the code and says
what to do. The shop's own message is only in the redacted excerpt: it is in the shop's language.

A 401 ``woocommerce_rest_cannot_view`` is the most frequent trouble with this API, and it has three causes that look
alike: the key's user may not, the address is not the shop's own (http, or another host, so that WooCommerce takes us
for a visitor), or the web server drops the header Authorization.
A 410 is about one object in the waste bin, and says nothing about the shop: permanent.
Source: the REST API's documentation (errors), and the issues of woocommerce/woocommerce that report these codes.
"""

from __future__ import annotations

import re
from typing import Any

from integrations.errors import SETUP, IntegrationError, IntegrationPermanentError
from integrations.faults import Fault
from integrations.transport.response import Response

_CANNOT = (
    "the key may not do this; check its permission and that its user manages the shop, that the address is the shop's "
    "own with https, and that the web server passes on the header Authorization"
)
_ADVICE = {
    "woocommerce_rest_cannot_view": _CANNOT,
    "woocommerce_rest_cannot_read": _CANNOT,
    "woocommerce_rest_cannot_edit": _CANNOT,
    "woocommerce_rest_authentication_error": "the consumer key or secret is wrong, or was revoked; or the key may only "
    "read, and setting a status needs Read/Write",
    "woocommerce_rest_shop_order_invalid_id": "there is no such order",
    "rest_no_route": "WooCommerce is not active there, or is older than 3.5",
    "rest_not_logged_in": "a plugin of the shop shuts the REST API for all but its own users",
    "rest_forbidden": "a plugin of the shop shuts the REST API",
}
_NO_API = (
    "there is no REST API at this address; check the shop's address, and choose any structure but “Plain” in "
    "WordPress, Settings, Permalinks"
)
FAULTS = (
    Fault("401, 403 with a code", "auth", _CANNOT),
    *(Fault(code, "auth", _ADVICE[code]) for code in ("woocommerce_rest_authentication_error", "rest_not_logged_in")),
    Fault("rest_no_route", "setup", _ADVICE["rest_no_route"]),
    Fault("404 without a code", "setup", _NO_API),
    Fault("rest_invalid_param", "event", "the answer names the parameters that the shop does not take"),
    Fault("410 of one object", "event", "it is in the waste bin"),
)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,79}", re.ASCII)
_PARAMETER = re.compile(r"[a-z_]{1,40}")


def refined(error: IntegrationError, response: Response, host: str) -> IntegrationError:
    """Return what the shop means where the default table says `error`."""
    answer = response.json_object
    code = str(answer.get("code", ""))
    if not _CODE.fullmatch(code):
        code = ""
    fault = SETUP if code == "rest_no_route" else None
    kind = IntegrationPermanentError if response.status == 410 else type(error)
    if code:
        advice = _ADVICE.get(code, "") or _about(code, answer)
        words = f"{host} answered {response.status} {code}" + (f": {advice}" if advice else "")
    elif response.status == 404:
        fault = SETUP
        words = f"{host} answered 404: {_NO_API}"
    elif kind is not type(error):
        words = f"{host} answered {response.status}"
    else:
        return error
    return kind(
        words,
        code=code or error.code,
        status=error.status,
        retry_after=error.retry_after,
        excerpt=error.excerpt,
        fault=fault,
    )


def _about(code: str, answer: dict[str, Any]) -> str:
    """Return what is wrong with a request of ours; names of parameters, never values."""
    if code != "rest_invalid_param":
        return ""
    data = answer.get("data")
    params = data.get("params") if isinstance(data, dict) else None
    names = sorted(name for name in params if _PARAMETER.fullmatch(name)) if isinstance(params, dict) else []
    if "orderby" in names or "modified_after" in names:
        return "it cannot list by the time of the last change; update WooCommerce to 5.8 or later"
    if names == ["status"]:
        return "the shop has no such order status; check “Statuses for the shop”"
    return f"it does not take {', '.join(names[:10])}" if names else ""
