"""Whatever happens between two pages, every row's effect is committed, once, in order, until somebody starts over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from integrations.connectors.page import Page
from integrations.errors import IntegrationAuthError, IntegrationRateLimited, IntegrationTemporaryError
from integrations.models import SyncState, TenantIntegration
from integrations.services import SyncService
from integrations.signals import sync_completed
from integrations.tests.pull_world import KEY, shop_is_registered, store_orders, stored
from tasks.models import Customer
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


class Killed(BaseException):
    """The process is gone: nothing after this was run."""


MOMENTS = ("before the fetch", "after the fetch", "after the effect", "after the commit")
FAILURES = (IntegrationTemporaryError("503"), IntegrationRateLimited("429", retry_after=60), KeyError("bug"), OSError())


class Pulling(RuleBasedStateMachine):
    """One provider that goes on selling, and whoever pulls from it."""

    def __init__(self) -> None:
        super().__init__()
        Tenant.objects.all().delete()
        tenant = Tenant.objects.create(name="Acme Corp")
        config = {"base_url": "https://shop.example.com"}
        self.shop = TenantIntegration.objects.create(
            tenant=tenant, name="Shop", integration_type=KEY, config=config, is_connected=True
        )
        self.state = SyncState.objects.create(connection=self.shop, resource_type="orders")
        self.rows: list[str] = []
        self.page_size = 2
        self.kept = 0  # rows stored before the last start over

    # -- the provider -------------------------------------------------------------------------------------

    def fetch(self, adapter: Any, cursor: str | None = None) -> Page[str]:
        start = int(cursor or 0)
        end = min(start + self.page_size, len(self.rows))
        return Page(self.rows[start:end], str(end), end < len(self.rows))

    @rule(count=st.integers(1, 5))
    def sell(self, count: int) -> None:
        self.rows += [f"order-{len(self.rows) + n}" for n in range(count)]

    @rule(size=st.integers(1, 4))
    def change_the_page_size(self, size: int) -> None:
        self.page_size = size

    # -- who pulls ----------------------------------------------------------------------------------------

    def pull(self, fetch: Any = None, process: Any = store_orders, method: str = "incremental_sync") -> Any:
        return getattr(SyncService, method)(self.shop, self.state, "orders", fetch or self.fetch, process)

    @rule()
    def read_a_page(self) -> None:
        result = self.pull()
        assert result.errors == [] and (result.is_skipped or result.pages == 1)

    @rule(error=st.sampled_from(FAILURES))
    def fail_to_fetch(self, error: Exception) -> None:
        def fail(adapter: Any, cursor: str | None = None) -> None:
            raise error

        result = self.pull(fail)
        assert not result.has_more and bool(result.errors) != result.is_skipped

    @rule()
    def be_refused(self) -> None:
        def refuse(adapter: Any, cursor: str | None = None) -> None:
            raise IntegrationAuthError("401")

        self.pull(refuse)

    @rule()
    def fail_to_process(self) -> None:
        def fail(items: list[str], shop: Any) -> None:
            store_orders(items, shop)
            raise KeyError("bug")

        self.pull(process=fail)

    @rule(moment=st.sampled_from(MOMENTS), method=st.sampled_from(["incremental_sync", "full_resync"]))
    def be_killed(self, moment: str, method: str) -> None:
        began = []

        def fetch(adapter: Any, cursor: str | None = None) -> Page[str]:
            began.append(SyncState.objects.values("lease_token", "lease_expires_at").get(pk=self.state.pk))
            if moment == "before the fetch":
                raise Killed
            page = self.fetch(adapter, cursor)
            if moment == "after the fetch":
                raise Killed
            return page

        def process(items: list[str], shop: Any) -> None:
            store_orders(items, shop)
            if moment == "after the effect":
                raise Killed

        def hear(**_: Any) -> None:
            if moment == "after the commit":
                raise Killed

        sync_completed.connect(hear)
        before = Customer.objects.count()
        try:
            self.pull(fetch, process, method)
        except Killed:
            if moment != "after the commit":  # nobody was there to give the lease back
                SyncState.objects.filter(pk=self.state.pk).update(status="running", **began[0])
        finally:
            sync_completed.disconnect(hear)
        if began and method == "full_resync":
            self.kept = before

    @rule()
    def be_too_slow(self) -> None:
        """The lease runs out while the page is fetched, and another run reads it."""

        def fetch(adapter: Any, cursor: str | None = None) -> Page[str]:
            page = self.fetch(adapter, cursor)
            self.let_time_pass()
            state = SyncState.objects.get(pk=self.state.pk)
            assert SyncService.incremental_sync(self.shop, state, "orders", self.fetch, store_orders).pages == 1
            return page

        assert self.pull(fetch).pages == 0

    @rule()
    def start_over(self) -> None:
        self.kept = Customer.objects.count()
        assert self.pull(method="full_resync").pages == 1

    @rule()
    def let_time_pass(self) -> None:
        SyncState.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))

    # -- what must be -------------------------------------------------------------------------------------

    @invariant()
    def the_effect_is_as_far_as_the_cursor(self) -> None:
        cursor = SyncState.objects.get(pk=self.state.pk).cursor
        assert stored()[self.kept :] == self.rows[: int(cursor or 0)]

    @precondition(lambda self: self.rows)
    @rule()
    def read_to_the_end(self) -> None:
        self.let_time_pass()
        while self.pull().has_more:
            pass
        assert stored()[self.kept :] == self.rows
        assert SyncState.objects.get(pk=self.state.pk).error_count == 0

    def teardown(self) -> None:
        if self.rows:
            self.read_to_the_end()


@pytest.fixture
def _shop() -> Iterator[None]:
    with shop_is_registered(), override_settings(INTEGRATIONS={"AUTH_FAILURES_TO_DISABLE": 1_000_000}):
        yield


@pytest.mark.usefixtures("_shop")
def test_every_row_is_stored_whatever_happens() -> None:
    # Unshrunk: fifteen steps can be read, and making them fewer takes longer than a test may.
    some = settings(
        max_examples=20,
        stateful_step_count=15,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(Pulling, settings=some)
