"""Large webhooks, and that no refusal of a known integration is silent."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import RequestFactory

from integrations.checks import settings_are_usable
from integrations.conf import MOST_INBOUND_BYTES as MOST_BYTES
from integrations.inbound import view
from integrations.inbound.request_body import IN_MEMORY, BodyRefused, read_body
from integrations.models import TenantIntegration, WebhookEvent
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import EFFECT, OTHER_SECRET, headers_of, make_connection, provider, work_off
from integrations.tests.integration.test_inbound_view import send
from integrations.tests.services import Broker

integration = pytest.mark.integration
MIB = 1_048_576
COMMIT = {"id": "a" * 40, "message": "Zoë – " + "x" * 1500, "added": ["a/b.py"], "author": {"name": "Mona"}}
PUSH = json.dumps({"ref": "refs/heads/main", "commits": [COMMIT] * 1000}, ensure_ascii=False).encode()


@pytest.fixture
def shop(broker: Broker, transactional_db: None) -> Iterator[TenantIntegration]:
    cache.clear()
    with provider("github", id_header="X-Id", event_header="X-Event") as key:
        yield make_connection(make_tenant(), key)


@integration
@pytest.mark.parametrize("scheme", ["github", "stripe", "slack", "standard-webhooks", "shopify"])
def test_a_push_of_more_than_a_megabyte(broker: Broker, transactional_db: None, settings: Any, scheme: str) -> None:
    assert len(PUSH) > 1.5 * MIB
    settings.INTEGRATIONS = {"INBOUND_MAX_BYTES": MOST_BYTES}
    with provider(scheme) as key:
        shop = make_connection(make_tenant(), key)
        forged = headers_of(scheme, PUSH, secret=OTHER_SECRET)
        assert send(shop, PUSH, scheme=scheme, signed=forged).status_code == 401
        assert send(shop, PUSH, scheme=scheme).status_code == 200
        event = WebhookEvent.objects.get(signature_valid=True)
        assert bytes(event.body) == PUSH and len(event.payload["commits"]) == 1000
        assert len(bytes(WebhookEvent.objects.get(signature_valid=False).body)) <= 4096
        assert work_off() == {"processed": 1}


@integration
def test_what_is_too_long_is_said(shop: TenantIntegration, caplog: Any) -> None:
    answer = send(shop, PUSH)
    assert (answer.status_code, answer.json()["detail"]) == (413, f"The body is longer than {MIB} bytes.")
    assert f"connection {shop.pk}" in caplog.text and "INTEGRATIONS_INBOUND_MAX_BYTES" in caplog.text
    caplog.clear()
    assert send(999_999, PUSH).status_code == 413 and not caplog.records, "of nobody's address, nothing"


@integration
def test_no_refusal_is_silent(shop: TenantIntegration, settings: Any, caplog: Any) -> None:
    for answer, words in (
        (send(shop, b"no json"), "(400): The body is not JSON"),
        (send(shop, b"7", Content_Encoding="gzip"), "(415)"),
        (send(shop, signed={}), "(401): missing_header"),
    ):
        assert str(answer.status_code) in words and words in caplog.text
    settings.INTEGRATIONS = {"INBOUND_PER_MINUTE": 1}
    cache.clear()
    assert [send(shop, X_Id=number).status_code for number in "12"] == [200, 429]
    assert "(429): more than 1 webhooks in this minute" in caplog.text
    cache.clear()
    assert all(f"connection {shop.pk}" in record.getMessage() for record in caplog.records)


@integration
def test_nor_is_a_call_that_nobody_ticked(broker: Broker, transactional_db: None, caplog: Any) -> None:
    cache.clear()
    with provider("github", is_chosen=True) as key:
        assert send(make_connection(make_tenant(), key), action=EFFECT).status_code == 403
    assert "(403): There is no action" in caplog.text


@integration
def test_few_large_ones_at_once(shop: TenantIntegration, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.INTEGRATIONS = {"INBOUND_MAX_BYTES": MOST_BYTES}
    monkeypatch.setattr(view, "LARGE_SECONDS", 0.0)
    held = [view._large.acquire(blocking=False) for _ in range(view.LARGE_AT_ONCE)]
    assert all(held)
    try:
        answer = send(shop, PUSH)
        assert answer.status_code == 503 and answer["Retry-After"]
        assert send(shop).status_code == 200, "small ones do not wait"
    finally:
        for _ in held:
            view._large.release()
    assert send(shop, PUSH).status_code == 200


def request_of(stream: Any, length: int) -> Any:
    values = {"wsgi.input": stream, "CONTENT_LENGTH": str(length)}
    return RequestFactory().generic("POST", "/", b"", **values)


class Zeros(io.RawIOBase):
    def __init__(self, left: int) -> None:
        self.left = left

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return b"0" * size


def test_a_stranger_gets_none_of_our_memory() -> None:
    request = request_of(Zeros(20 * MIB), 20 * MIB)
    tracemalloc.start()
    try:
        body = read_body(request, MOST_BYTES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(body) == 20 * MIB and body[:3] == b"000" and body[-1:] == b"0"
    assert peak < 4 * MIB, f"{peak} bytes"


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY - 1, IN_MEMORY, IN_MEMORY + 1, 2 * IN_MEMORY])
def test_every_byte_comes_as_it_was_sent(size: int) -> None:
    sent = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    body = read_body(request_of(io.BytesIO(sent), size), 2 * IN_MEMORY)
    assert bytes(body) == sent and isinstance(body, bytes) == (size <= IN_MEMORY)


def test_no_more_than_allowed_is_read() -> None:
    stream = Zeros(40 * MIB)
    with pytest.raises(BodyRefused) as caught:
        read_body(request_of(stream, 10), 5)
    assert caught.value.status == 413 and stream.left == 40 * MIB


@pytest.mark.parametrize(("value", "is_fine"), [(1024, True), (MOST_BYTES, True), (MOST_BYTES + 1, False), (10, False)])
def test_the_check_knows_the_bounds(settings: Any, value: int, is_fine: bool) -> None:
    settings.INTEGRATIONS = {"INBOUND_MAX_BYTES": value}
    assert ("integrations.E002" in {found.id for found in settings_are_usable(None)}) != is_fine
