"""Figures of deliveries: how many, how fast, how old; kept for 13 months, and never counted from the outbox.

    settle     adds to its integration's minute, in its own transaction (writing.py)
    roll-up    sums up: integrations to tenants and to the whole, minutes to hours, hours to days (rolling.py)
    reading    series, totals and sparklines, from what is summed up and the minutes since then (reading.py)

What waits just now is no history: backlog.py asks the outbox's partial indexes for it, within bounds.
"""
