"""What runs: processes, queues, clocks, periodic tasks. For people who run the product."""
