"""Connector templates: a JSON/REST destination described in YAML (docs/templates.md).

    source.py   bytes → a tree whose every part knows its line (PyYAML)
    values.py   texts and JSON with ${…} inside (JMESPath), and the names that may stand there
    call.py     one HTTP call, and what its answer says
    schema.py   the blocks of a file (pydantic)
    load.py     all of it: files → `Template`, or what is wrong with one, and where

What interprets a template is a Python connector, kinds/rest/.
"""
