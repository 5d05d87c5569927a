"""Replays and backfills: the list, one job, and making one.

views.py    the pages and their buttons; how a job looks: state, progress, time left
form.py     what a job is to do, as people fill it in
"""
