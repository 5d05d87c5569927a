"""What happened: the list of events, and one event with all that came of it."""
