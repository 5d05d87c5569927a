"""Stop integrations that answer each other: A changes what B hears of, B changes what A hears of, and so on.

One integration alone never starts it, since it does not hear of its own doing (publish.py). Two can. Nobody sees such a
loop from one event, so it is counted: what integrations cause of one object within an hour is limited. What people
and the application do is never counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Count, Exists, OuterRef

from integrations import conf
from integrations.errors import IntegrationPermanentError

from .models import IntegrationEvent, IntegrationSync
from .record import Occurrence

HOUR = timedelta(hours=1)
BATCH = 500


def refuse_loops(occurrences: Sequence[Occurrence], *, what: str, using: str) -> None:
    """Refuse events that an integration causes, if their object has had its share for this hour.

    Args:
        occurrences: about to be recorded, of one model, all caused by integrations; their objects' rows are locked,
            so that nobody else is counting the same.
        what: the word for such an object, e.g. "work item".

    Raises:
        IntegrationPermanentError: more than INBOUND_CAUSED_PER_HOUR; says of which object.
    """
    new = Counter(occurrence.object_id for occurrence in occurrences if occurrence.integration_ids)
    ids = list(new)
    # What was skipped for everybody is answered by nobody.
    sent = IntegrationSync.objects.using(using).filter(event=OuterRef("pk")).exclude(status="skipped")
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        rows = (
            IntegrationEvent.objects.using(using)
            .filter(
                content_type_id=occurrences[0].content_type_id,
                object_id__in=batch,
                origin__isnull=False,
                occurred_at__gt=occurrences[0].occurred_at - HOUR,
            )
            .filter(Exists(sent))
        )
        had = dict(rows.order_by().values_list("object_id").annotate(Count("pk")))
        for object_id in batch:
            if had.get(object_id, 0) + new[object_id] > conf.INBOUND_CAUSED_PER_HOUR:
                raise IntegrationPermanentError(
                    f"Integrations caused {had.get(object_id, 0)} events of {what} {object_id} within an hour, and "
                    "this would be more than is allowed: two of them seem to answer each other. Mend one of them, or "
                    "raise INTEGRATIONS_INBOUND_CAUSED_PER_HOUR.",
                    code="loop",
                )
