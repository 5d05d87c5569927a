"""Small templates for tests: a whole one, and ways to change it."""

from __future__ import annotations

from integrations.connectors.template.load import load
from integrations.connectors.template.schema import Template

CONNECTORS = {"rest": "1.0.0"}
HEAD = """\
version: 1
connector: rest
connector_version: "^1.0"
manifest:
  key: crm
  label: CRM
  fields:
    - {name: base_url, kind: url, default: https://api.example.com}
    - {name: token, kind: secret}
    - {name: folder, default: inbox}
    - {name: column}
"""
DELIVER = """\
deliver:
  method: POST
  path: /items
"""


def template(text: str = "", *, head: str = HEAD) -> Template:
    """Load `text` below `head`."""
    return load((head + text).encode(), "crm.yaml", CONNECTORS)


def line_of(text: str, needle: str) -> int:
    """The line of HEAD + `text` in which `needle` stands first."""
    lines = (HEAD + text).splitlines()
    return next(number for number, line in enumerate(lines, 1) if needle in line)
