"""What providers sent us: the list, and one delivery of theirs with what it did here."""
