"""Choose whose rows the lists show."""
