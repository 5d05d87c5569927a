"""The workflows of docs/n8n/ can be imported by anybody: what can be said of them without an n8n.

That they work, the tests of integration/n8n/ say, in a real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.tests.integration.n8n.workflows import SEEN, TO_IMPORT, documented_code, to_import
from integrations.tests.services import PROJECT

FOLDER = PROJECT / "docs" / "n8n"
PAGE = (PROJECT / "docs" / "n8n-workflows.md").read_text()
_TOKEN = re.compile(r"(whsec_|xox[a-z]-|ntn_|Bearer )[A-Za-z0-9+/_-]{6,}|[A-Za-z0-9+/]{40,}={0,2}")
_HOST = re.compile(r"https?://([^/\s\"'\\)`]+)")


def nodes_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in found["nodes"]}


def values_of(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in `value` with the name it stands under."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from values_of(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from values_of(inner, name)
    elif isinstance(value, str):
        yield name, value


def section(name: str) -> str:
    """Return what the page says of one workflow."""
    (found,) = [part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if f"](n8n/{name}.json)" in part]
    return found


def test_these_are_all() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(TO_IMPORT)


@pytest.mark.parametrize("name", TO_IMPORT)
def test_it_is_whole(name: str) -> None:
    found = to_import(name)
    nodes = nodes_of(found)
    assert found["active"] is False and "pinData" not in found
    assert len(nodes) == len(found["nodes"]) == len({node["id"] for node in found["nodes"]})
    leads_to = {
        (source, target["node"])
        for source, outputs in found["connections"].items()
        for branch in outputs["main"]
        for target in branch
    }
    assert {source for source, _ in leads_to} <= set(nodes)
    assert {target for _, target in leads_to} == set(nodes) - {"Webhook", "Fill in"}, "every node is reached"


@pytest.mark.parametrize("name", TO_IMPORT)
def test_it_has_no_credentials_and_no_addresses(name: str) -> None:
    found = to_import(name)
    code = documented_code()
    for node in found["nodes"]:
        assert "credentials" not in node, f"{node['name']}: export it without"
        for key, text in values_of(node):
            assert not _TOKEN.search(text.replace(code, "")), f"{node['name']}: {key} looks like a secret"
            assert set(_HOST.findall(text)) <= {"app.example.com"}, f"{node['name']}: {key} has an address"
            if key in ("secret", "password", "token", "apiKey"):
                assert text.startswith("={{ $env."), f"{node['name']}: {key} is written in the workflow"


@pytest.mark.parametrize("name", TO_IMPORT)
def test_its_nodes_are_those_that_a_real_n8n_has_run(name: str) -> None:
    used = {(node["type"].removeprefix("n8n-nodes-base."), node["typeVersion"]) for node in to_import(name)["nodes"]}
    assert used <= SEEN, "run `pytest -m n8n`, then add them to SEEN"


@pytest.mark.parametrize("name", TO_IMPORT)
def test_it_begins_like_the_others(name: str) -> None:
    """Who has read one knows all: verify with the code that the docs print, answer, then work."""

    def beginning(found: dict[str, Any]) -> dict[str, Any]:
        nodes = nodes_of(found)
        shown = {each: nodes[each]["parameters"] for each in ("Check signature", "Genuine?", "Refuse", "Accept")}
        shown["Genuine?"]["conditions"]["conditions"][0].pop("id")
        shown["Webhook"] = {key: value for key, value in nodes["Webhook"]["parameters"].items() if key != "path"}
        shown["links"] = [found["connections"][each] for each in ("Webhook", "Check signature", "Genuine?")]
        return shown

    found = to_import(name)
    assert beginning(found) == beginning(to_import(TO_IMPORT[0]))
    assert nodes_of(found)["Check signature"]["parameters"]["jsCode"] == documented_code()
    assert nodes_of(found)["Webhook"]["parameters"]["path"] == f"outbox-{name}"


@pytest.mark.parametrize("name", TO_IMPORT)
def test_the_page_says_what_to_fill_in(name: str) -> None:
    text, nodes = section(name), nodes_of(to_import(name))
    assert f"/webhook/outbox-{name}" in text
    filled_in = set(re.findall(r"^\| \*\*(.+?)\*\* \|", text, re.MULTILINE))
    expected = {each for each in ("Slack", "Notion", "Call back") if each in nodes}
    assert filled_in == expected
    note = nodes["Fill in"]["parameters"]["content"]
    assert all(f"**{each}**" in note for each in expected), "the note in the workflow says the same"
    for variable in set(re.findall(r"\$env\.(\w+)", json.dumps(to_import(name)))):
        assert variable in PAGE and variable in note
