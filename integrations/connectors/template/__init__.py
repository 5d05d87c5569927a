"""Connector templates: a JSON/REST destination described in YAML (docs/templates.md).

    source.py   bytes → a tree whose every part knows its line (PyYAML)
    scope.py    the names that an expression may use, and their values
    values.py   texts and JSON with ${…} inside (JMESPath)
    call.py     one HTTP call
    answers.py  what an answer means
    schema.py   the blocks of a file (pydantic); words.py says what is wrong with one, and where
    load.py     all of it: files → `Template`

What interprets a template is a Python connector, kinds/rest/.
"""
