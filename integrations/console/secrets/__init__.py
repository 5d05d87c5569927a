"""Secrets: which there are, how old, what is due; none of them is shown."""
