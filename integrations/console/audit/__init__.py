"""The page Audit, and the tab History of an integration: who did what.

entries.py   which entries a person may read, and the filters of the list
shown.py     an entry in words: what was changed, with a link to its object
views.py     the page, an entry, the tab, and the list as a file
"""
