"""People at work while the demo runs: every few seconds somebody brings in a work item, or gets on with one."""

from __future__ import annotations

import random
import time

from django.contrib.auth.models import User
from django.utils import timezone

from integrations.acting import acting_as
from integrations.jobs.actions import start_backfill, start_replay
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.models import Job
from integrations.jobs.replay import ReplayFilter
from integrations.models import TenantIntegration
from tasks.models import CustomerAsset, DropoffPoint, Note, WorkItem
from tenants.models import Tenant

from .data import business
from .data.places import COMPANIES, Company

SECONDS = (4.0, 14.0)  # between two changes
NEW = 0.3  # the part of them that is a new item
RECENT = 60  # how many of a tenant's items somebody may still be at


class Trickle:
    """Changes one work item of the demo's tenants at a time, as the example's forms do.

    Attributes:
        items: keys and references of those that it touched: the story in the terminal is not about them.
    """

    def __init__(self) -> None:
        self.items: set[str] = set()
        self.chance = random.Random()  # noqa: S311
        self.casts = [self._cast(company) for company in COMPANIES]
        self.next_at = time.monotonic() + SECONDS[0]

    def begin(self) -> None:
        """Start what takes its time, so that there is progress to look at: once in a database's life."""
        if Job.objects.exists():
            return
        workflow = TenantIntegration.objects.get(name="Production n8n workflow")
        pressing = "workitem.priority == 'High' || workitem.priority == 'Urgent'"
        urgent = BackfillFilter(model=WorkItem._meta.label_lower, condition=pressing)
        start_backfill(workflow, urgent, actor="acme-manager", pace=1)
        planner = TenantIntegration.objects.get(name="Route planner")
        failed = ReplayFilter(status=("failed",), integration=planner.public_id)
        start_replay(planner.tenant_id, failed, actor="northwind-operator", pace=2)

    def step(self) -> None:
        """Change something, if it is time."""
        if time.monotonic() < self.next_at:
            return
        self.next_at = time.monotonic() + self.chance.uniform(*SECONDS)
        weights = [cast.company.a_day for cast in self.casts]
        cast = self.chance.choices(self.casts, weights)[0]
        if self.chance.random() < NEW:
            self._create(cast)
        else:
            self._get_on(cast)

    def _cast(self, company: Company) -> business.Cast:
        tenant = Tenant.objects.get(name=company.name)
        assets = list(CustomerAsset.objects.filter(tenant=tenant).select_related("customer"))
        people = list(User.objects.filter(tenants=tenant).order_by("pk"))
        return business.Cast(company, tenant, people, assets, list(DropoffPoint.objects.filter(tenant=tenant)))

    def _create(self, cast: business.Cast) -> None:
        number = 4001 + WorkItem.objects.filter(tenant=cast.tenant).count()
        item = business.new_item(cast, number, timezone.now(), self.chance)
        with acting_as(cast.people[0]):
            item.save()
        self.items |= {str(item.pk), item.reference_id}

    def _get_on(self, cast: business.Cast) -> None:
        recent = WorkItem.objects.filter(tenant=cast.tenant).order_by("-pk")[:RECENT]
        open_ones = [item for item in recent if item.status not in ("completed", "cancelled")]
        if not open_ones:
            self._create(cast)
            return
        item = self.chance.choice(open_ones)
        values = business.next_values(item, cast, self.chance)
        for name, value in values.items():
            setattr(item, name, value)
        self.items |= {str(item.pk), item.reference_id}
        with acting_as(self.chance.choice(cast.people[1:])):
            item.save()
        if self.chance.random() < 0.2:
            author = self.chance.choice(cast.people)
            Note.objects.create(
                tenant=cast.tenant, work_item=item, author=author, text=self.chance.choice(business.SAID)
            )
