"""Work on many rows that a person asked for: replay what failed, or send a destination the present state of things.

    models      a job: what it is to do, how far it is
    actions     what people do to it: preview, start, pause, resume, cancel
    replay      which deliveries, and one batch of them
    backfill    which objects, and one batch of them; whose snapshots they are says snapshots.py
    run         a worker's turn with a job: lease, batch after batch, at its pace

A batch is one transaction: what it does, and how far the job is then. Whoever kills the worker in between kills both,
or neither. Nothing is kept in memory from one batch to the next.
"""
