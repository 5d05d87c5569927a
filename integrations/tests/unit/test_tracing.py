"""What is traced where nobody collects spans, and what of a context is kept and sent."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.port import Binding, Envelope
from integrations.telemetry import tracing
from integrations.tests.receiver import Receiver

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
SAMPLED = f"00-{TRACE:032x}-{SPAN:016x}-01"


def span(flags: int = TraceFlags.SAMPLED) -> Any:
    """Make a span current, as a host's instrumentation does around a request."""
    return trace.use_span(NonRecordingSpan(SpanContext(TRACE, SPAN, is_remote=False, trace_flags=TraceFlags(flags))))


def test_the_context_of_the_current_span_is_kept_sampled_or_not() -> None:
    assert tracing.kept() == "" and tracing.header() == {}
    with span():
        assert tracing.kept() == SAMPLED
    with span(flags=0):
        assert tracing.kept() == f"{SAMPLED[:-2]}00"


def test_a_setting_keeps_it_from_the_wire(settings: Any) -> None:
    settings.INTEGRATIONS = {"SEND_TRACEPARENT": False}
    with span():
        assert tracing.header() == {} and tracing.kept() == SAMPLED


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as it is where the package is not installed."""
    for name in [*(each for each in sys.modules if each.partition(".")[0] == "opentelemetry"), "opentelemetry"]:
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("bare_tracing", tracing.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_the_package_nothing_is_kept_sent_or_spanned(bare: ModuleType) -> None:
    assert not bare.HAS_API
    with bare.sliced("webhook", 1, 1), bare.received({"Traceparent": SAMPLED}, {}):
        assert (bare.kept(), bare.header(), bare.current()) == ("", {}, None)


@pytest.mark.parametrize("value", ["", "x", "00-0-0-00", f"00-{0:032x}-{SPAN:016x}-01", "00-" + "g" * 32, SAMPLED * 9])
def test_what_is_no_context_links_to_nothing(value: str) -> None:
    assert tracing._links(value) == []
    assert len(tracing._links(SAMPLED)) == 1


@pytest.mark.parametrize("headers", [{}, {"TraceParent": "theirs"}])
def test_a_header_of_the_tenants_own_is_sent_in_its_place(headers: dict[str, str], receiver: Receiver) -> None:
    connector = WebhookConnector(Binding("https://hooks.example.com/x", headers=headers))
    with span():
        sent = connector.headers_for(Envelope("workitem_created", "evt_1", b"{}"))
    found = {name: value for name, value in sent.items() if name.lower() == "traceparent"}
    assert found == (headers or {"traceparent": SAMPLED})
