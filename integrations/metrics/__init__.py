"""What Prometheus is told: ``/metrics`` of the web, and a port of each worker's machine.

What happens is counted by the process in which it happens (telemetry/counters.py); what *is*, state.py reads from the
database when it is asked.

view.py    GET /metrics, for a token or a network; /health/live and /health/ready
state.py   lanes, backlog, processes, clocks: from the database; what was counted; all of it as text
worker.py  a worker answers on METRICS_PORT
"""
