"""Somebody is told: an integration fails, works again, was disabled, gave up, waits too long; a worker is silent.

event_types.py  what can be told, as event types that any integration may subscribe to
rule.py         what is to be told now, from what is true and what was told before: pure
memory.py       what people know, locked while somebody decides what to tell them
watch.py        reads what is true every minute, remembers what was told
word.py         one thing that is told, and how it reads
publishing.py   the same as events
mail.py         the same by mail, to a tenant's managers and to operators

An integration is never told about itself, and what became of alerts is no reason for further alerts.
"""
