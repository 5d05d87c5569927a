"""A small Django project with the peers to compare with; only the benchmark's own processes load it."""
