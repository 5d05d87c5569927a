"""Connector templates: a JSON/REST destination described in YAML (docs/templates.md).

    source.py      bytes → a tree whose every part knows its line
    schema.py      the tree's shape; words.py says what is wrong with it
    expression.py  one ${…}
    values.py      texts and JSON with ${…} inside
    call.py        one HTTP call
    answers.py     what an answer means
    load.py        all of it: file → Template
    folders.py     folders of templates → connectors

What interprets a template is a Python connector, kinds/rest.py.
"""
