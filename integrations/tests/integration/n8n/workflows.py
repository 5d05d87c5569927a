"""Workflows for the n8n of the tests: those of this folder, and those of docs/n8n/ with everything filled in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from integrations.tests.services import PROJECT

FILES = Path(__file__).parent
ACTIVE = ("workitems", "basic-auth", "signature", "dedupe", "failing")
INACTIVE = ("switched-off", "switched-on-later")
TO_IMPORT = ("slack-message", "notion-page", "note-back", "status-back", "alert")  # docs/n8n/

# Kinds of nodes, with their versions, that TO_IMPORT uses and the tests of this folder have run.
SEEN = {
    ("code", 2),
    ("crypto", 1),
    ("httpRequest", 4.2),
    ("if", 2.2),
    ("notion", 2.2),
    ("removeDuplicates", 2),
    ("respondToWebhook", 1.1),
    ("set", 3.4),
    ("slack", 2.3),
    ("stickyNote", 1),  # words beside the nodes; nothing to run
    ("webhook", 2),
}

KEY = "fake-key-for-tests-only"  # these three stand in credentials.json too
USER, PASSWORD = "django-integration", "fake-password-for-tests-only"
BACK_SECRET = "fake-secret-for-calling-back-in-tests"
CALLERS = {  # by workflow: the integration whose addresses it calls
    "note-back": "0b5a3a0e-6f57-4d0f-9f0f-0d3b4f6f2a11",
    "status-back": "5d0d9df1-6f0c-4b0e-8a57-3f3f1c1f5b22",
}
DATABASE = "1f3b8c7d2e4a4f6b9c0d5e6f7a8b9c0d"  # Notion's
_PLACEHOLDER = "https://app.example.com/webhooks/the-integrations-id/"


def documented_code() -> str:
    """Return the Code node of docs/N8N_AUTHENTICATION.md, as it is printed there."""
    page = (PROJECT / "docs" / "N8N_AUTHENTICATION.md").read_text()
    (code,) = re.findall(r"^```javascript\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return str(code)


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow of this folder; its Code node gets the code that the docs print."""
    found: dict[str, Any] = json.loads((FILES / f"{name}.json").read_text())
    for node in found["nodes"]:
        if node["type"] == "n8n-nodes-base.code":
            node["parameters"]["jsCode"] = documented_code()
    return found


def nodes_at_work(name: str) -> set[str]:
    """Return the names of the nodes of a workflow of docs/n8n/ that run when an event is taken."""
    return {node["name"] for node in to_import(name)["nodes"]} - {"Refuse", "Fill in"}


def to_import(name: str) -> dict[str, Any]:
    """Return a workflow of docs/n8n/ as people import it."""
    found: dict[str, Any] = json.loads((PROJECT / "docs" / "n8n" / f"{name}.json").read_text())
    return found


def filled_in(name: str, address: str) -> dict[str, Any]:
    """Return a workflow of docs/n8n/ with what its page tells to fill in, and nothing else but short waits.

    Args:
        address: of our web server.
    """
    found = to_import(name)
    nodes = {node["name"]: node for node in found["nodes"]}
    if "Slack" in nodes:
        nodes["Slack"]["credentials"] = {"slackApi": {"id": "outboxSlackApi01", "name": "Outbox test Slack"}}
    if "Notion" in nodes:
        nodes["Notion"]["credentials"] = {"notionApi": {"id": "outboxNotionApi1", "name": "Outbox test Notion"}}
        nodes["Notion"]["parameters"]["databaseId"]["value"] = DATABASE
    if "Call back" in nodes:
        parameters = nodes["Call back"]["parameters"]
        assert parameters["url"].startswith(_PLACEHOLDER)
        parameters["url"] = parameters["url"].replace(_PLACEHOLDER, f"{address}/webhooks/{CALLERS[name]}/")
    for node in nodes.values():
        if "waitBetweenTries" in node:
            node["waitBetweenTries"] = 100
    return found
