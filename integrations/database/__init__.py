"""What the models and statements of every room share: the database's clock, SQL of both databases, leases,
old rows, bounded searches."""
