"""Errors travel: they are copied when they are settled, and pickled between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from integrations.errors import ConfigurationError, IntegrationBlocked, IntegrationError, IntegrationRateLimited


@pytest.mark.parametrize(
    "error",
    [
        IntegrationError("words", code="c", status=503, retry_after=2.0, excerpt="e", was_sent=False),
        IntegrationRateLimited("wait", retry_after=7.0),
        IntegrationBlocked("no", reason="ip_blocked"),
        ConfigurationError({"url": "missing", "name": "too long"}),
    ],
)
def test_a_copy_is_equal(error: IntegrationError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error) and vars(twin) == vars(error) and str(twin) == str(error)
