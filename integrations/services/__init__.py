"""What application code calls: by name and tenant, without knowing rows or lanes."""
