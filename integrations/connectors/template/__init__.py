"""Connector templates: a JSON/REST destination described in YAML (docs/templates.md).

    source.py      bytes → a tree whose every part knows its line; scalars.py: what a plain scalar means
    schema.py      the tree's shape; words.py says what is wrong with it
    scope.py       the names that an expression may use, and their values
    expression.py  one ${…}
    values.py      texts and JSON with ${…} inside
    call.py        one HTTP call
    params.py      the parameters of an action
    answers.py     what an answer means
    load.py        all of it: file → compiled.py's Template
    folders.py     folders of templates

What interprets a template is a Python connector, kinds/rest.py.
"""
