"""Everything about one business object: did it arrive? For people who have no admin, too.

views.py    the page
"""
