"""The benchmark: measure deliveries, saves and neighbours beside peers and limits (docs/performance.md)."""
