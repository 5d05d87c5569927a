"""One delivery: its story from the change to the note, and what a person may do about it.

views.py     the page and its buttons
story.py     what happened, in order, and what comes next
exchange.py  one request and its answer, as the page shows them, and the request as a command for a shell
"""
