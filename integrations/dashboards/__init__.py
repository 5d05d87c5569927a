"""Pages that show many integrations at once."""
