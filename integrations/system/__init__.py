"""The systems of seeds/004 for the whole installation: a switch and a configuration in front of a connector."""
