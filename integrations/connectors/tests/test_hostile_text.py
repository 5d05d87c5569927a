"""What somebody typed is shown as it was typed, whatever kind of system shows it: no link, no mention, no markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from integrations.connectors.kinds.email.compose import compose
from integrations.connectors.markup import cut, markdown
from integrations.connectors.port import Envelope
from integrations.connectors.registry import ConnectorRegistry, connector_choices
from integrations.testing import ConnectorConformance
from integrations.tests.receiver import Receiver
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

from .conformance_classes import conformance_classes

HOSTILE = (
    "[Reset your password](https://evil.example/login) <https://evil.example> https://evil.example www.evil.example "
    "![x](https://evil.example/x.png) <a href='https://evil.example'>click</a> [r]: evil **b** __u__ "
    "_i_ ~~s~~ ||p|| `c` &lt;b&gt; <!channel> <@U1> <#C1> <@&7> @everyone @octocat "
    "#1 GH-1 {{DATE(2017-02-14T06:00:00Z)}}\n"
    "# Heading\n> quote\n- item\n1. item\n===\n```\ncode\n```\n<script>alert(1)</script>\r\nBcc: evil@evil.example"
)
# What every Markdown of ours finds by itself, without a bracket.
LINKS = re.compile(r"(?:https?|ftp)://|\bwww\.|[@#]\w|\bGH-\d|\{\{", re.IGNORECASE)
QUIET = {"text", "softbreak", "hardbreak", "text_special"}


def is_markdown(texts: list[str]) -> None:
    """Fail where CommonMark, or what GitHub, Discord and Teams add to it, sees more than text."""
    for text in texts:
        tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
        assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"], text
        assert {child.type for child in tokens[1].children or ()} <= QUIET, text
        assert not LINKS.search(text) and not re.search(r"(?<!\\)<", text), text


def is_mrkdwn(texts: list[str]) -> None:
    for text in texts:
        assert "<" not in text, text


def is_data(texts: list[str]) -> None:
    """It is stored or handed on as it is, and rendered by nobody."""


def markdown_of_discord(body: Any) -> list[str]:
    assert body["allowed_mentions"] == {"parse": []}
    title, _, text = body["content"].partition("\n")
    assert title.startswith("**Workitem created: ") and title.endswith("**")
    return [title.strip("*"), *filter(None, text.strip().split("\n\n"))]


def markdown_of_teams(body: Any) -> list[str]:
    title, text, *lists = body["attachments"][0]["content"]["body"]
    facts = [fact for each in lists for fact in each["facts"]]
    assert len(lists) == 2 and len(facts) >= 6  # lines and changes
    return [title["text"], text["text"], *(fact[part] for fact in facts for part in ("title", "value"))]


def markdown_of_github(body: Any) -> list[str]:
    assert not LINKS.search(body["title"])  # which renders nothing else
    text = body["body"].rpartition("\n\n<!-- event ")[0]
    # The lines of the list are ours: each begins with its label in bold.
    return [found for found in re.split(r"(?m)^- \*\*|:\*\* |\n\n(?=- \*\*)", text) if found.strip()]


def mrkdwn_of_slack(body: Any) -> list[str]:
    shown = [found for block in body["blocks"] for found in (block.get("fields") or [block["text"]])]
    assert all(text["verbatim"] for text in shown if text["type"] == "mrkdwn")
    return [body["text"], *(text["text"] for text in shown)]


def text_of_graph(body: Any) -> list[str]:
    assert body["message"]["body"]["contentType"] == "Text"
    assert not set("\r\n") & set(body["message"]["subject"])
    return []


Reads = tuple[Callable[[Any], list[str]], Callable[[list[str]], None]]
SHOWN: dict[str, Reads] = {
    "discord": (markdown_of_discord, is_markdown),
    "github": (markdown_of_github, is_markdown),
    "microsoft_graph": (text_of_graph, is_data),
    "slack": (mrkdwn_of_slack, is_mrkdwn),
    "teams": (markdown_of_teams, is_markdown),
    # Rich text of Notion is a tree: `content` is no markup.
    **{key: (lambda body: [], is_data) for key in ("n8n", "notion", "salesforce", "weaviate", "webhook")},
}
ELSEWHERE = {"email", "DROPZONE_JSON_V1", "EDI", "MOCK", "SAP"}  # below; a JSON file; orders, in their own tests
KIND = "workitem_created"
CASES = [kind for kind in conformance_classes() if kind.connector.manifest.key in SHOWN]


def hostile(value: Any) -> Any:
    """Return `value` with every text of it replaced."""
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    return HOSTILE if isinstance(value, str) else value


def payload() -> dict[str, Any]:
    item = {"reference_id": "", "description": "", "status": "", "priority": "", "due_date": ""}
    changes = {"status": {"old": "", "new": ""}}
    found = {"workitem": {"id": 7, **item, "customer": {"name": "", "email": ""}, HOSTILE: ""}, "tenant": {"name": ""}}
    return {"event_type": KIND, **hostile({**found, "changes": {**changes, HOSTILE: changes["status"]}})}


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_hostile_text_is_text(kind: type[ConnectorConformance], receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    case = kind()
    case.server_place, case._answer = receiver.netloc, None
    receiver.answer_with(case.answer_to)
    client = GuardedClient(AddressPolicy.from_conf(), timeout=5)
    try:
        kind.connector.bound_to(case.settings(), client).deliver(
            Envelope(KIND, "evt_7", json.dumps(payload()).encode())
        )
    finally:
        client.close()
    sent = next(request for request in reversed(receiver.requests) if request.method in ("POST", "PUT", "PATCH"))
    assert "evil" in sent.body.decode() or kind.connector.manifest.key == "weaviate"
    of_body, check = SHOWN[kind.connector.manifest.key]
    check(of_body(sent.json))


def test_a_mail_is_plain_text_and_its_headers_are_ours() -> None:
    body = json.dumps(payload()).encode()
    mail = message_from_bytes(
        compose(Envelope(KIND, "evt_7", body), "a@x.example", ["b@x.example"], subject="{workitem.description}"),
        policy=default,
    )
    assert mail["Bcc"] is None and len(mail.get_all("Subject") or ()) == 1
    assert [part.get_content_type() for part in mail.walk()][1:] == ["text/plain", "application/json"]


def test_every_kind_that_delivers_is_here() -> None:
    kinds = {
        kind.manifest.key
        for kind in map(ConnectorRegistry.type_of, dict(connector_choices()))
        if "deliver" in kind.manifest.does
    }
    assert kinds <= SHOWN.keys() | ELSEWHERE, "say how its target renders text"
    assert {kind.connector.manifest.key for kind in CASES} == SHOWN.keys()


# -- the rule -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "workitem_status_changed",
        "SECRET_KEY ${x}",
        "iPhone (black) – 5 kg, 20%",
        "a - b + c = d",
        "Müller & Söhne",
        "1.5",
    ],
)
def test_what_nobody_renders_stays_as_it_is(text: str) -> None:
    assert markdown(text) == text


@given(st.text(alphabet="ab1 \n\\`*_[]()<>~|&;#@:/.-+={}!", max_size=40))
def test_any_text_is_text(text: str) -> None:
    shown = "".join(
        "".join(child.content if child.type == "text" else "\n" for child in token.children or ())
        for token in MarkdownIt("gfm-like", {"linkify": False}).parse(f"x {markdown(text)}")
        if token.type == "inline"
    )
    # Spaces are Markdown's own business.
    assert "".join(shown.replace("\u200b", "").split()) == "x" + "".join(text.split())


@pytest.mark.parametrize("limit", range(12))
def test_a_cut_leaves_no_half_escape(limit: int) -> None:
    text = markdown("*" * 9, limit)
    assert len(text) <= limit
    assert not re.search(r"(?<!\\)(?:\\\\)*\\(?:…|$)", text)
    assert cut("abc", 3) == "abc"
