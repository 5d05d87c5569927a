"""The catalogue of event types: made from the trigger handlers, never by hand.

differences.py what differs between two schemas, in words
entries.py     each event type: when it happens, its schema, an example; the same of its payload's older versions
asyncapi.py    the same as an AsyncAPI document
stored.py      the catalogue that is kept in the repository, with its versions: what changed since it was written
"""
