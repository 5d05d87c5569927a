"""Addresses below the console that no page has."""
