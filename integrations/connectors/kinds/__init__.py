"""One file per kind of system; those that need no code are templates (../templates)."""
