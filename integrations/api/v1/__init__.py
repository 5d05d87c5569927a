"""The JSON API under /api/v1/: what the console does, for programs.

api.py              the API itself; problems (RFC 9457)
document.py         what all operations of the OpenAPI document have in common
extend.py           how a project adds its own resources
paging.py           lists by cursor
idempotency.py      a write that is sent twice is done once
conditional.py      ETags: only what is new, only what you have read
integrations.py     integrations: state, health, test, check, pause, resume, enable, delete
settings.py         their settings, a new one, its signing secret
subscriptions.py    what they want, tried first
connector_types.py  the kinds of systems
deliveries.py       deliveries: list, one with its attempts and exact requests, retry, replay, send anyway, cancel
events.py           event types, events
jobs.py             replays and backfills
inbound.py          webhooks of providers
pulls.py            what is fetched
pushes.py           orders handed to an ERP
statistics.py       figures
audit.py            who did what
me.py               who calls

Who calls and what they may do is decided as for the older calls beside it (authentication.py, caller.py).
"""
