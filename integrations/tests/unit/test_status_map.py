"""Statuses of shops, there and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.families.shop import OrderStatus
from integrations.connectors.families.status_map import INBOUND, OUTBOUND, StatusMap, as_status, status_map_problems
from integrations.connectors.kinds.woocommerce.connector import STATUSES

WORDS = st.text(st.characters(codec="ascii", categories=("Ll", "Nd"), include_characters="-_"), min_size=1, max_size=20)
STATUS = st.sampled_from(list(OrderStatus))


def test_a_status_is_its_text() -> None:
    assert f"{OrderStatus.SHIPPED}" == "shipped" == OrderStatus.SHIPPED


@given(
    inbound=st.dictionaries(WORDS, STATUS), outbound=st.dictionaries(STATUS, WORDS), prefix=st.sampled_from(["", "wc-"])
)
def test_a_tenant_s_map_wins_and_the_rest_stays(
    inbound: dict[str, OrderStatus], outbound: dict[OrderStatus, str], prefix: str
) -> None:
    settings = {
        INBOUND: {f"{prefix}{word}": str(status) for word, status in inbound.items()},
        OUTBOUND: {str(status): f"{prefix}{word}" for status, word in outbound.items()},
    }
    assert status_map_problems(settings) == {}
    found = STATUSES.over(settings)
    bare = {STATUSES.bare(word): status for word, status in inbound.items()}
    for word, status in bare.items():
        assert found.ours(word) is status and found.ours(f"WC-{word}") in (status, bare.get(f"wc-{word}"), f"WC-{word}")
    for word, status in STATUSES.inbound.items():
        assert found.ours(word) is bare.get(word, status)
    for status in OrderStatus:
        wanted = outbound[status] if status in outbound else STATUSES.theirs(status)
        assert found.theirs(status) == STATUSES.bare(wanted)


@given(WORDS)
def test_a_word_that_nobody_mapped_stays_as_it_is(word: str) -> None:
    empty = StatusMap({}, {})
    assert empty.ours(word) == word
    status = as_status(word)
    assert empty.theirs(word) == (word if status is None else status.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_whatever_somebody_stored_there_it_does_not_fall_over(stored: Any) -> None:
    settings = {INBOUND: stored, OUTBOUND: stored}
    found = STATUSES.over(settings)
    assert isinstance(found.ours("processing"), str) and isinstance(found.theirs(OrderStatus.SHIPPED), str)
    assert set(status_map_problems(settings)) <= {INBOUND, OUTBOUND}


@pytest.mark.parametrize("text", ["shipped", "SHIPPED", " shipped ", OrderStatus.SHIPPED])
def test_the_spellings_of_a_status(text: str) -> None:
    assert as_status(text) is OrderStatus.SHIPPED
    assert as_status("on-hold") is OrderStatus.ON_HOLD
    assert as_status("sent") is None
