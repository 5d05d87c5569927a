"""What counts as an event: captured models, and publishing by hand (docs/adding-a-model.md).

trigger_handler.py   describes a model to the outbox; from a save to an event
tenant_path.py       how a row leads to its tenant
row_reader.py        the row before and after the write; compiled_row.py reads one with SQL compiled once
bulk_writes.py       saves open a transaction, bulk writes say what they did
subscribers.py       who wants to hear of it
publishing.py           record it
examples.py          what payloads hold, for conditions
discovery.py         the ``integrations.py`` of each app; what `check` says of what it captures
"""

from integrations.tenancy.owned import unannounced

from .publishing import publish
from .trigger_handler import TriggerHandler, trigger_integrations

__all__ = ["TriggerHandler", "publish", "trigger_integrations", "unannounced"]
