"""What an answer becomes: statuses, Retry-After in every form, redirects, bodies that no provider should send."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from integrations.connectors.port import Receipt
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationMoved,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)

from .receiver import Answer
from .world import World

STATUSES: dict[int, type[IntegrationError]] = {
    301: IntegrationMoved,
    302: IntegrationTemporaryError,
    307: IntegrationTemporaryError,
    308: IntegrationMoved,
    400: IntegrationPermanentError,
    401: IntegrationAuthError,
    403: IntegrationAuthError,
    404: IntegrationPermanentError,
    408: IntegrationTemporaryError,
    410: IntegrationGone,
    422: IntegrationPermanentError,
    429: IntegrationRateLimited,
    500: IntegrationTemporaryError,
    502: IntegrationTemporaryError,
    503: IntegrationTemporaryError,
    504: IntegrationTemporaryError,
}
_FORMS = {  # the three of RFC 9110 §5.6.7
    "imf": "%a, %d %b %Y %H:%M:%S GMT",
    "rfc850": "%A, %d-%b-%y %H:%M:%S GMT",
    "asctime": "%a %b %d %H:%M:%S %Y",
}


class AnswerChecks(World):
    def test_success(self) -> None:
        result = self.call(self.bound(), self.envelope())
        if "deliver" in self.connector.manifest.does:
            assert isinstance(result, Receipt), "deliver() returns a Receipt"
        assert 1 <= len(self.work) <= self.requests_per_call

    @pytest.mark.parametrize("status", STATUSES)
    def test_status(self, status: int) -> None:
        self.answering(self.refusal(status, {"Location": "/elsewhere"} if status < 400 else {}))
        error = self.failure(self.bound())
        expected = self.statuses.get(status, STATUSES[status])
        assert type(error) is expected, f"{status} became {type(error).__name__}: {error}"
        assert error.status == status
        assert error.message, "an error says what happened"
        assert 1 <= len(self.work) <= self.requests_per_call, "no retry loop: the lane decides when to try again"
        assert not any("elsewhere" in request.path for request in self.work), "redirects are never followed"

    @pytest.mark.parametrize("value", ["120", "0", *_FORMS, "past", "soon", "-5", "1.5", "missing"])
    def test_retry_after(self, value: str) -> None:
        in_two_minutes = datetime.now(UTC) + timedelta(seconds=120)
        text = value
        if value in _FORMS:
            text = in_two_minutes.strftime(_FORMS[value])
        elif value == "past":
            text = "Wed, 21 Oct 2015 07:28:00 GMT"
        self.answering(self.refusal(429, {} if value == "missing" else {"Retry-After": text}))
        error = self.failure(self.bound())
        if value == "120" or value in _FORMS:
            assert error.retry_after is not None and 110 <= error.retry_after <= 121, error.retry_after
        elif value == "0":
            assert error.retry_after in (0.0, self.default_retry_after)
        else:
            assert error.retry_after == self.default_retry_after, "what cannot be read is no promise"

    @pytest.mark.parametrize("then", ["cut", "garbage", "empty", "text"])
    def test_strange_bodies(self, then: str) -> None:
        """The provider may have taken it: a success, or to be tried again; never refused, never a crash."""
        good = self.success.body or b'{"a": 1}'
        self.answering(
            {
                "cut": Answer(self.success.status, good, then="cut"),
                "garbage": Answer(self.success.status, b"\xff\xfe\0garbage"),
                "empty": Answer(self.success.status, b""),
                "text": Answer(self.success.status, b"<html>502 Bad Gateway</html>", {"Content-Type": "text/html"}),
            }[then]
        )
        error = self.outcome(self.bound())
        assert error is None or type(error) is IntegrationTemporaryError, repr(error)
        assert 1 <= len(self.work) <= self.requests_per_call

    def test_an_oversized_answer_is_not_read_to_its_end(self) -> None:
        ours = {**django_settings.INTEGRATIONS, "MAX_READ_BYTES": 65536}
        self.answering(Answer(self.success.status, b'{"a": "' + b"x" * 8_000_000 + b'"}'))
        with override_settings(INTEGRATIONS=ours):
            started = time.monotonic()
            error = self.outcome(self.bound())
        assert error is None or isinstance(error, IntegrationTemporaryError | IntegrationPermanentError), repr(error)
        assert error is None or len(error.excerpt) <= 500
        assert time.monotonic() - started < 5
