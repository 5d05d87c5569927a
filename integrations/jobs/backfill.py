"""Backfill: one integration is sent the present state of a tenant's objects, as a new destination needs it.

Each is an event of its own type, ``workitem_snapshot``, owed to that integration alone, whatever it subscribes to.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

from django.core.exceptions import ValidationError as FormError
from django.utils.translation import gettext as _
from pydantic import AfterValidator, BaseModel, ConfigDict

from integrations.connections.conditions import validate_condition
from integrations.connections.models import TenantIntegration

from .models import Job, Preview, Step
from .snapshots import Shown, SnapshotSource, source_of, sources

MOST_COUNTED = 1_000_000
MOST_TRIED = 100  # objects of which a preview says what would become of them; fewer where each takes its time
MOST_LOCKED = 100  # objects in one batch: whoever saves one of them waits for the batch


def _known(label: str) -> str:
    if source_of(label) is None:
        offered = ", ".join(source.label for source in sources()) or "none"
        raise ValueError(
            _("“{label}” cannot be backfilled; there are: {offered}").format(label=label[:60], offered=offered)
        )
    return label


class BackfillFilter(BaseModel):
    """Chooses objects.

    Attributes:
        model: of which model: ``tasks.workitem``.
        condition: JMESPath over the payload in its newest version; "": all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, AfterValidator(_known)]
    condition: str = ""

    @property
    def source(self) -> SnapshotSource:
        found = source_of(self.model)
        assert found is not None  # noqa: S101 - `_known`
        return found

    def problem(self) -> str:
        """Say what is wrong with the condition, "" if nothing is."""
        try:
            validate_condition(self.condition, self.source.event_type)
        except FormError as error:
            return " ".join(error.messages)
        return ""

    def in_words(self, integration_name: str) -> str:
        """Return it for people."""
        which = _(" for which {condition}").format(condition=self.condition) if self.condition else ""
        return _("the present state of all {plural}{which} to {integration_name}").format(
            plural=self.source.plural, which=which, integration_name=integration_name
        )[:500]


def preview(
    integration: TenantIntegration, which: BackfillFilter, *, seconds: float, most: int, sample: int = 5
) -> Preview:
    """Look at what a backfill would do: how many objects there are, and of the first ones what would be sent.

    Of objects that the condition leaves out `count` knows nothing; `left_out` is of the `looked_at` first ones.
    """
    source, ends_at = which.source, time.monotonic() + seconds
    count = source.count(integration.tenant_id, most + 1)
    tried: list[Shown] = []
    for each in source.shown(integration, which.condition, MOST_TRIED):
        tried.append(each)
        if time.monotonic() > ends_at and len(tried) >= sample:
            break
    outcomes = [each.outcome for each in tried]
    return Preview(
        count=count,
        is_complete=count <= most,
        sample=_few(tried, sample),
        looked_at=len(tried),
        left_out=outcomes.count("left_out"),
        failing=outcomes.count("failing"),
        has_own_payload=bool(source.payload_for(integration)[0]),
    )


def _few(tried: Sequence[Shown], most: int) -> list[Shown]:
    """Return `most` of `tried`, in their order: the first of each outcome, then what would be sent, then others."""
    places = range(len(tried))
    firsts = {tried[at].outcome: at for at in reversed(places)}.values()
    others = sorted(set(places).difference(firsts), key=lambda at: (tried[at].outcome != "sent", at))
    return [tried[at] for at in sorted([*firsts, *others][:most])]


def step(job: Job, integration: TenantIntegration, limit: int, *, passes_over: bool = False) -> Step:
    """Record the snapshots of the next `limit` objects, inside the caller's transaction.

    Args:
        passes_over: of them no snapshot can be taken: count them as failed.
    """
    which = BackfillFilter.model_validate(job.filter)
    keys = which.source.keys(job.tenant_id, job.cursor, job.last, min(limit, MOST_LOCKED))
    if not keys:
        return Step(job.cursor, is_over=True)
    if passes_over:
        words = _("No snapshot could be taken of {label} {keys}; the log says why.").format(
            label=which.source.label, keys=", ".join(map(str, keys))
        )
        return Step(keys[-1], failed=len(keys), messages=[words])
    looked_at, done = which.source.record(keys, integration, which.condition)
    if not looked_at:
        return Step(
            job.cursor,
            waits_for=_("Somebody is just changing {label} {key}.").format(label=which.source.label, key=keys[0]),
        )
    return Step(keys[looked_at - 1], done=done, skipped=looked_at - done)
