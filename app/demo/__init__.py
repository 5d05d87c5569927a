"""``make run``: everything on this machine, a change, and what comes of it, as it happens."""
