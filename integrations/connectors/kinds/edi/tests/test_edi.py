"""EDI: the interchange on the wire, read back by a parser that is not ours (pydifact)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydifact.parser import Parser
from pydifact.segmentcollection import Interchange

from integrations.connectors.kinds.edi import EDIConnector, control_reference, edifact
from integrations.connectors.port import Binding, Envelope
from integrations.errors import IntegrationAuthError, IntegrationPermanentError, IntegrationTemporaryError
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

# It knows few directories by heart and says so for each segment of the others.
pytestmark = pytest.mark.filterwarnings("ignore::pydifact.exceptions.MissingImplementationWarning")

CANARY = "canary-e5d7b3"
KEY = "push_0123456789abcdef0123456789abcdef0123456789abcdef"
ORDER = {
    "id": "7f",
    "number": "SO+1'?:",
    "customer": "4012345000023",
    "currency": "EUR",
    "requested_on": "2026-12-01",
    "lines": [
        {
            "sku": "4000862141404",
            "quantity": "5.0",
            "unit": "PCE",
            "price": "12.50",
            "description": "Größe 'M' + 5 ≈ 6",
        },
        {"sku": "A-1", "quantity": 2},
    ],
}
CONFIG = {"sender": "4012345000009", "recipient": "4098765000010"}
# Written by hand from the D.96A directory, one segment a line.
EXPECTED = """\
UNA:+.? '
UNB+UNOC:3+4012345000009:14+4098765000010:14+261121:0830+{reference}'
UNH+1+ORDERS:D:96A:UN:EAN008'
BGM+220+SO?+1?'???:+9'
DTM+137:20261121:102'
DTM+2:20261201:102'
NAD+BY+4012345000023::9'
NAD+SU+4098765000010::9'
CUX+2:EUR:9'
LIN+1++4000862141404:EN'
IMD+F++:::Größe ?'M?' ?+ 5   6'
QTY+21:5:PCE'
PRI+AAA:12.5'
LIN+2++A-1:SA'
QTY+21:2'
UNS+S'
CNT+2:2'
UNT+16+1'
UNZ+1+{reference}'"""


@pytest.fixture
def client(receiver: Receiver) -> Iterator[GuardedClient]:
    guarded = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)), timeout=5)
    yield guarded
    guarded.close()


@pytest.fixture
def make(receiver: Receiver, client: GuardedClient) -> Any:
    def make(credentials: dict[str, Any] | None = None, **config: Any) -> EDIConnector:
        return EDIConnector(Binding(receiver.url, {}, credentials or {}, {**CONFIG, **config}, timeout=2), client)

    return make


def envelope(order: Any = None, **frame: Any) -> Envelope:
    body = {"timestamp": "2026-11-21T08:30:00Z", **frame, "order": ORDER if order is None else order}
    return Envelope("order_push", KEY, json.dumps(body).encode())


def parsed(data: bytes) -> Any:
    return Interchange.from_str(data.decode("latin-1"))


def segments(data: bytes, tag: str) -> list[Any]:
    (message,) = parsed(data).get_messages()
    return [segment.elements for segment in message.segments if segment.tag == tag]


def test_the_bytes_on_the_wire(make: Any, receiver: Receiver) -> None:
    receipt = make().deliver(envelope())
    (request,) = receiver.requests
    reference = control_reference(KEY)
    assert request.body.decode("latin-1") == EXPECTED.format(reference=reference).replace("'\n", "'")
    assert request.headers["content-type"] == "application/EDIFACT"
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["content-disposition"] == f'attachment; filename="ORDERS_{reference}.edi"'
    assert receipt.external_id == reference and len(reference) == 14 and receipt.details["file"].endswith(".edi")


def test_another_parser_reads_it_back(make: Any) -> None:
    data = make().interchange(envelope())
    interchange = parsed(data)
    assert interchange.sender == ["4012345000009", "14"] and interchange.recipient == ["4098765000010", "14"]
    assert interchange.control_reference == control_reference(KEY)
    assert interchange.syntax_identifier == ("UNOC", 3)
    (message,) = interchange.get_messages()
    assert message.type == "ORDERS"
    message.validate()
    assert segments(data, "BGM") == [["220", "SO+1'?:", "9"]]
    assert [element[2] for element in segments(data, "LIN")] == [["4000862141404", "EN"], ["A-1", "SA"]]
    assert segments(data, "IMD")[0][2][3] == "Größe 'M' + 5   6"
    assert [element[0] for element in segments(data, "QTY")] == [["21", "5", "PCE"], ["21", "2"]]
    assert segments(data, "CNT") == [[["2", "2"]]]
    (unt,) = [segment for segment in Parser().parse(data.decode("latin-1")) if segment.tag == "UNT"]
    (unz,) = [segment for segment in Parser().parse(data.decode("latin-1")) if segment.tag == "UNZ"]
    assert unt.elements == [str(len(message.segments) + 2), "1"] and unz.elements == ["1", control_reference(KEY)]


def test_every_attempt_sends_the_same_bytes_and_every_key_another_reference(make: Any) -> None:
    assert make().interchange(envelope()) == make().interchange(envelope())
    assert len({control_reference(f"push_{n}") for n in range(200)}) == 200
    assert re.fullmatch("[0-9A-F]{14}", control_reference("x"))


def test_a_test_is_marked(make: Any) -> None:
    head = make(test_indicator=True).interchange(envelope()).decode("latin-1").split("'")[1]
    assert head.endswith("++++++1")


def test_an_order_without_customer_is_ours(make: Any) -> None:
    data = make(sender="ACME", qualifier="ZZZ").interchange(envelope({"id": 1, "lines": ORDER["lines"]}))
    assert segments(data, "NAD") == [["BY", ["ACME", "", "91"]], ["SU", ["4098765000010", "", "9"]]]
    assert segments(data, "CUX") == [] and len(segments(data, "DTM")) == 1


def test_an_order_that_only_has_a_uuid(make: Any) -> None:
    data = make().interchange(envelope({"id": "3f0c7a52-0000-4000-8000-00000000000A", "lines": ORDER["lines"]}))
    assert segments(data, "BGM") == [["220", "3f0c7a5200004000800000000000000A", "9"]]


def test_level_a_has_capitals_only(make: Any) -> None:
    data = make(charset="UNOA").interchange(envelope())
    assert b"GRO" in data and data.isascii() and not re.search(rb"[a-z]", data.partition(b"UNH")[2])
    with pytest.raises(IntegrationPermanentError, match=r"lines\[0\].sku: has characters that UNOA cannot encode"):
        make(charset="UNOA").interchange(envelope({"id": 1, "lines": [{"sku": "a-1", "quantity": 1}]}))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"number": "x" * 36}, "number: longer than EDIFACT's 35 characters"),
        ({"number": "日本"}, "number: has characters that UNOC cannot encode"),
        ({"customer": "x" * 18}, "customer: longer"),
        ({"lines": [{"sku": "A", "quantity": 1, "unit": "PIECE"}]}, r"lines\[0\].unit: longer"),
    ],
)
def test_what_edifact_cannot_say_is_refused(
    make: Any, receiver: Receiver, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(IntegrationPermanentError, match=problem):
        make().deliver(envelope({**ORDER, **change}))
    assert receiver.requests == []


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=35))
def test_any_text_comes_back_as_it_went(text: str) -> None:
    number = " ".join(text.split())
    if not number:
        return
    connector = EDIConnector(Binding("https://edi.example.com/in", {}, {}, CONFIG))
    data = connector.interchange(envelope({"id": number, "lines": [{"sku": "A", "quantity": 1}]}))
    assert segments(data, "BGM") == [["220", number, "9"]]


@given(st.text(max_size=80))
def test_free_text_is_said_roughly_and_never_fails(text: str) -> None:
    for charset in edifact.CHARSETS:
        assert edifact.said(edifact.roughly(text, charset), charset) is not None


def test_accents_that_are_lacking_are_dropped() -> None:
    assert edifact.roughly("Łódź Ŝñ", "UNOC") == "Lódz Sñ"
    assert edifact.roughly("Größe", "UNOB") == "Grosse"
    assert edifact.roughly("Größe æ", "UNOA") == "GROSSE AE"
    assert edifact.roughly("STRAẞE Øl Þór Œuvre ½ “x” – 5 €", "UNOB") == 'STRASSE Ol Thor Oeuvre 1/2 "x" - 5 EUR'
    assert edifact.roughly("5 € – ß “ø”", "UNOC") == '5 EUR - ß "ø"'
    assert edifact.roughly("日本 ☃", "UNOB") == "    "


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, IntegrationAuthError), (422, IntegrationPermanentError), (503, IntegrationTemporaryError)],
)
def test_what_answers_mean(make: Any, receiver: Receiver, status: int, expected: type[Exception]) -> None:
    receiver.answer_with(default=status)
    with pytest.raises(expected):
        make().deliver(envelope())
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("status", "works"), [(200, True), (405, True), (501, True), (401, False), (404, False)])
def test_check_asks_without_sending(make: Any, receiver: Receiver, status: int, works: bool) -> None:
    receiver.answer_with(default=status)
    result = make().health_check()
    assert result.success is works and result.is_auth_failure is (status == 401)
    assert [request.method for request in receiver.requests] == ["HEAD"]


def test_who_we_are(make: Any, receiver: Receiver) -> None:
    make({"password": CANARY}, username="u").deliver(envelope())
    make({"api_key": CANARY}).deliver(envelope())
    make().deliver(envelope())
    basic, key, nobody = receiver.requests
    assert basic.headers["authorization"].startswith("Basic ") and key.headers["x-api-key"] == CANARY
    assert not {"authorization", "x-api-key"} & set(nobody.headers)


def test_no_secret_anywhere(make: Any, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(default=Answer(500, f"you said {CANARY}".encode()))
    connector = make({"api_key": CANARY})
    with pytest.raises(IntegrationTemporaryError) as caught:
        connector.deliver(envelope())
    assert (
        CANARY not in "".join(map(repr, [connector, connector.binding, caught.value, vars(caught.value)])) + caplog.text
    )
