"""The JSON API under /api/v1/: what the console does, for programs.

api.py            the API itself; problems (RFC 9457)
paging.py         lists by cursor
idempotency.py    a write that is sent twice is done once
deliveries.py     deliveries: list, one with its attempts and exact requests, retry, replay, send anyway, cancel
events.py         event types, events
integrations.py   integrations: state, health, test, pause, resume, enable, delete
jobs.py           replays and backfills
statistics.py     figures
audit.py          who did what

Who calls and what they may do is decided as for the older calls beside it (authentication.py, scope.py).
"""
