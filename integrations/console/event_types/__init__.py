"""What can happen: every event type, when, and what its payload holds."""
