"""The measurements; each function runs in a process of its own with Django set up (app/bench/cell.py)."""
