"""What a process tells of its own work: log lines, traces, counters for Prometheus."""
