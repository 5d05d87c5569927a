"""API keys: make one, see what it did last, revoke it."""
