"""A host with tables of its own: connections that belong to a company, and what providers told it."""
