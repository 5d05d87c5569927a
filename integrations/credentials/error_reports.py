"""What Django's error mails and debug pages say of a request that carried secrets: where it failed, not with what.

``ADMINS`` get a mail about every error of the server, with all that was posted, the headers, and the local variables of
every frame; the debug page shows the same. `hides_secrets` decorates views that take secrets, a host's own too:

    @hides_secrets
    def setup_connection(request): …
"""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView
from functools import wraps
from types import FrameType
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.views.debug import SafeExceptionReporterFilter

from integrations.transport.redaction import is_safe_header

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

_QUERIES = ("QUERY_STRING", "RAW_URI", "REQUEST_URI")  # gunicorn and uWSGI have names of their own
_USER_INFO = re.compile(r"(://)[^\s/@?#]{1,512}@")


class SecretsFilter(SafeExceptionReporterFilter):
    """Hides every value that was posted, every header that is not known to be harmless, and every local variable.

    Which of them is a secret only our code knows, and copies of one are in the frames of libraries as well. Django's
    own filter hides nothing while DEBUG is on; this one does.
    """

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return {} if request is None else dict.fromkeys(request.POST, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> ItemsView[str, Any]:
        return dict.fromkeys(tb_frame.f_locals, self.cleansed_substitute).items()

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        meta = super().get_safe_request_meta(request)
        for name in meta:
            header = name.removeprefix("HTTP_").replace("_", "-")
            if name in _QUERIES or (name.startswith("HTTP_") and not is_safe_header(header)):
                meta[name] = self.cleansed_substitute
        return meta

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """Hide what Django hides, and the password in an address (of a broker, of a cache)."""
        cleansed = super().cleanse_setting(key, value)
        return _USER_INFO.sub(rf"\1{self.cleansed_substitute}@", cleansed) if isinstance(cleansed, str) else cleansed


def hides_secrets(view: View) -> View:
    """Decorate a view: no error report about its requests holds a value that was sent.

    Also after it has returned: a page may be rendered later. The query is forgotten when the view fails, for Django
    shows it without asking a filter.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.exception_reporter_filter = SecretsFilter()
        try:
            return view(request, *args, **kwargs)
        except Exception:
            request.GET = QueryDict()
            for name in request.META.keys() & set(_QUERIES):
                request.META[name] = ""
            raise

    return guarded  # type: ignore[return-value]
