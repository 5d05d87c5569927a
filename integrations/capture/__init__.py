"""What counts as an event: captured models, and publishing by hand (docs/adding-a-model.md).

trigger_handler.py   describe a model to the outbox; tenant_path.py finds how its rows lead to their tenant
writes.py            from a write to its events: saves open a transaction, bulk writes say what they do
rows.py              the row before and after the write, whose it is, and what changed
questions.py         who wants to hear of it, asked together with the row, in SQL that is phrased once
publishing.py        record it
examples.py          what payloads hold, for conditions
snapshots.py         the present state as events, for one integration
discovery.py         the ``integrations.py`` of each app; what `check` says of what it captures
"""

from integrations.tenancy.owned import unannounced

from .publishing import publish
from .trigger_handler import TriggerHandler, trigger_integrations

__all__ = ["TriggerHandler", "publish", "trigger_integrations", "unannounced"]
