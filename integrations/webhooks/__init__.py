"""The URLs that providers call."""
