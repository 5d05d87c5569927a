"""The page Audit, and the tab History of an integration: who did what.

entries.py   which entries a person may read, and the filters of the list
shown.py     an entry in words: what was changed, with a link to its object
csv_file.py  the same list as a file
views.py     the page, an entry, the file; history.py: the tab
"""
