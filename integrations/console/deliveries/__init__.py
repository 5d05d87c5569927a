"""Deliveries: which ones, newest first, live; and what to do with those that are ticked.

views.py      the list, the same as a tab of an integration, and the buttons
objects.py    which objects words mean
"""
