"""API keys: how a program proves for which tenant it speaks, and what it may do there.

scopes.py      what a key may be allowed, as a registry that a project adds to
token.py       the text of a key: made once, found again by its prefix, compared by its hash
models.py      `APIKey`
keys.py        make one, revoke one, list them
proof.py       from the header of a request to the key, in the same time whether there is such a key or not
"""
