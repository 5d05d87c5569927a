"""Whatever receivers, people, clocks and dying workers do, a lane sends what it owes: each row once, in order.

The model is plain: what every row is, when it failed first, and what time it is. It is told of each request at the
moment it arrives and says there whether that was allowed; at the end everything is mended, and nothing may be left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from integrations import conf
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.database import sql
from integrations.delivery import lease, operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.sweep import sweep
from integrations.errors import IntegrationAuthError, IntegrationRateLimited, IntegrationTemporaryError
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.publish import publish
from integrations.tests.factories import make_integration, make_item, make_tenant

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

HOLD = 3600.0  # seconds for which a failing row holds its object back
THREE_DAYS = 3 * 86400.0
OBJECTS = ("a", "b", "c")
ANSWERS = ("taken", "taken", "failing", "refused", "busy")
CHANGES = st.lists(st.sampled_from(OBJECTS), max_size=4)  # Part of most rules: alone it would be too rare.
numbers = count()
TIMES = {
    IntegrationSync: ("next_attempt_at", "created_at", "first_failed_at", "last_failed_at"),
    Lane: ("lease_expires_at", "hinted_at", "paused_until", "next_send_at", "last_success_at", "last_failure_at"),
}


class Killed(BaseException):
    """The worker is gone: nothing after this was run, and nothing that it had not committed stands."""


@dataclass
class Row:
    """What the model knows of one row."""

    pk: int
    name: str
    status: str = "pending"
    made_at: float = 0.0
    failed_at: float | None = None  # first
    attempts: int = 0
    copies: int = 1  # how often it may arrive


@dataclass
class Receiver:
    """Answers by what it is and by what is asked of it."""

    answer: str = "taken"
    bad: set[str] = field(default_factory=set)  # objects that it never takes

    def take(self, name: str) -> None:
        answer = "failing" if name in self.bad else self.answer
        if answer == "failing":
            raise IntegrationTemporaryError("500", status=500)
        if answer == "refused":
            raise IntegrationAuthError("403", status=403)
        if answer == "busy":
            raise IntegrationRateLimited("429", status=429, retry_after=30)


class Delivering(RuleBasedStateMachine):
    """One integration, three objects, and all that happens to them."""

    def __init__(self) -> None:
        super().__init__()
        self.tenant = make_tenant(f"Acme {next(numbers)}")
        self.items = {name: make_item(self.tenant, reference_id=name) for name in OBJECTS}
        self.target = make_integration(self.tenant, events=())
        self.target.subscribe("workitem_updated")
        self.rows: dict[int, Row] = {}  # by event
        self.receiver = Receiver()
        self.now = 0.0
        self.dies_at: int | None = None
        self.sent: list[Row] = []  # in this turn
        self.wrong: list[str] = []

    # -- what is saved --------------------------------------------------------------------------------------

    def change(self, names: list[str]) -> None:
        with transaction.atomic():
            for name in names:
                publish(event_type="workitem_updated", tenant=self.tenant, obj=self.items[name], payload={})
        new = IntegrationSync.objects.filter(integration=self.target).exclude(event_id__in=self.rows)
        for pk, event, key in new.order_by("id").values_list("pk", "event_id", "event__object_id"):
            name = next(name for name, item in self.items.items() if str(item.pk) == key)
            self.rows[event] = Row(pk, name, made_at=self.now)

    # -- who receives ---------------------------------------------------------------------------------------

    @rule(
        answer=st.sampled_from(["taken", "taken", "failing", "refused", "busy"]), bad=st.sets(st.sampled_from(OBJECTS))
    )
    def answer_otherwise(self, answer: str, bad: set[str]) -> None:
        self.receiver = Receiver(answer, bad)

    def deliver(self, connector: Any, envelope: Envelope) -> Receipt:
        """Judge one request, then answer it."""
        row = self.rows[envelope.sequence]
        if self.dies_at is not None and len(self.sent) >= self.dies_at:
            raise Killed
        self.sent.append(row)
        self.wrong += self.what_is_wrong(envelope.sequence, row)  # said later: whatever a connector raises is survived
        try:
            self.receiver.take(row.name)
        except Exception:
            row.failed_at = self.now if row.failed_at is None else row.failed_at
            row.attempts += 1
            raise
        row.copies -= 1
        row.status = "synced"
        return Receipt(status=200)

    def what_is_wrong(self, event: int, row: Row) -> Iterator[str]:
        integration = TenantIntegration.objects.get(pk=self.target.pk)
        if not (integration.is_enabled and integration.is_active):
            yield "sent though it is switched off"
        if row.status != "pending" or not row.copies:
            yield f"sent though {row.status}, {row.copies} copies allowed"
        if self.is_held_back(event, HOLD - 1):
            yield "sent before an earlier row of its object"

    # -- who sends ------------------------------------------------------------------------------------------

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Whatever this turn tries, it tries once."""
        lane = Lane.objects.get(pk=self.target.pk)
        is_taken = bool(lane.lease_token and self.seconds_until("lease_expires_at") > 0)
        is_closed = self.is_resting(lane) or is_taken
        self.sent, self.wrong = [], []
        yield
        assert not self.wrong
        assert not (is_closed and self.sent), "sent though the lane rests or is taken"
        tried = [row.pk for row in self.sent]
        assert len(tried) == len(set(tried)), "tried twice in one turn"

    @rule(names=CHANGES, again=st.booleans())
    def send(self, names: list[str], again: bool) -> None:
        self.change(names)
        self.take_a_turn()
        if again:  # what has failed a moment ago is not tried again: nobody is kept busy by nothing
            first = {row.pk for row in self.sent}
            self.take_a_turn()
            assert not first & {row.pk for row in self.sent}

    def take_a_turn(self) -> None:
        with self.looking():
            drained = drain(self.target.pk)
        assert drained.sent == len(self.sent)
        lane = Lane.objects.get(pk=self.target.pk)
        is_open = not lane.lease_token and not self.is_resting(lane) and self.is_switched_on()
        if is_open and self.due():
            assert lane.hinted_at is not None, "something is due, and nobody is asked"
            if self.receiver == Receiver():
                assert self.sent, "left all that was due"
                self.take_a_turn()  # as a worker does who follows the hint

    @precondition(lambda self: self.is_free() and not Lane.objects.get(pk=self.target.pk).careful_left)
    @rule(names=CHANGES, after=st.integers(0, 3))
    def send_and_die(self, names: list[str], after: int) -> None:
        """Some requests went out; then the worker is killed: its lease stays until it is over."""
        self.change(names)
        known = {event: (row.status, row.failed_at, row.attempts) for event, row in self.rows.items()}
        self.dies_at = after
        with self.looking():
            try:
                with transaction.atomic():
                    drain(self.target.pk)
                    raise Killed
            except Killed:
                pass
        self.dies_at = None
        for row in self.sent:
            row.copies += row.status == "synced"  # it has arrived, and nobody knows
        for event, (status, failed_at, attempts) in known.items():
            row = self.rows[event]
            row.status, row.failed_at, row.attempts = status, failed_at, attempts
        lease.take(self.target.pk)

    @rule()
    def look_for_what_is_due(self) -> None:
        """The sweep asks for the lane at most once while a hint is under way, and never for one with nothing to do."""
        before = Lane.objects.get(pk=self.target.pk)
        fresh = before.hinted_at is not None and self.seconds_until("hinted_at") > -conf.HINT_SECONDS + 1
        woken = sweep()["due"]
        assert not (woken and (fresh or self.is_resting(before) or not self.due()))

    # -- what time does -------------------------------------------------------------------------------------

    @rule(names=CHANGES, seconds=st.sampled_from([6.0, 31.0, 65.0, 4000.0]))
    def wait(self, names: list[str], seconds: float) -> None:
        self.change(names)
        self.now += seconds
        own = {IntegrationSync: "integration_id", Lane: "integration_id"}
        for model, columns in TIMES.items():
            moved = ", ".join(f"{name} = {self.earlier(name)}" for name in columns)
            table = model._meta.db_table
            with connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE {table} SET {moved} WHERE {own[model]} = %s",
                    [*[seconds] * len(columns), self.target.pk],
                )

    @staticmethod
    def earlier(column: str) -> str:
        if connection.vendor == "postgresql":
            return f"{column} - %s * interval '1 second'"
        return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {column}, -%s || ' seconds')"

    # -- what people do -------------------------------------------------------------------------------------

    @rule(action=st.sampled_from(["retry", "replay", "cancel", "resume", "enable", "switch off"]), data=st.data())
    def act(self, action: str, data: Any) -> None:
        if action in ("resume", "enable"):
            act = operator_actions.resume if action == "resume" else operator_actions.re_enable
            act(TenantIntegration.objects.get(pk=self.target.pk), actor="alice")
            assert not self.is_resting(Lane.objects.get(pk=self.target.pk))
        elif action == "switch off":
            self.switch_off_and_on()
        else:
            states = {"replay": ("synced",), "cancel": ("pending",), "retry": ("pending", "failed", "cancelled")}
            rows = [row for row in self.rows.values() if row.status in states[action]]
            if rows:
                self.act_on(action, data.draw(st.sampled_from(rows)))

    def act_on(self, action: str, row: Row) -> None:
        assert getattr(operator_actions, action)([row.pk], actor="alice") == 1
        if action == "cancel":
            row.status = "cancelled"
            return
        row.status, row.failed_at, row.attempts, row.made_at = "pending", None, 0, self.now
        row.copies = max(row.copies, 1)

    def switch_off_and_on(self) -> None:
        """Nothing is owed to who is switched off; the lane says so at its next turn."""
        if not self.is_free():
            return
        operator_actions.resume(self.target, actor="alice")
        TenantIntegration.objects.filter(pk=self.target.pk).update(is_active=False)
        drain(self.target.pk)
        TenantIntegration.objects.filter(pk=self.target.pk).update(is_active=True)
        for row in self.rows.values():
            row.status = "cancelled" if row.status == "pending" else row.status

    # -- what must be ---------------------------------------------------------------------------------------

    @invariant()
    def every_row_is_as_the_model_says(self) -> None:
        found = dict(IntegrationSync.objects.filter(integration=self.target).values_list("event_id", "status"))
        for event, row in self.rows.items():
            if found[event] == "failed":
                assert row.attempts >= 24 or self.now - row.made_at >= THREE_DAYS - 1, "given up too early"
                row.status = "failed"
            assert found[event] == row.status

    def is_free(self) -> bool:
        return not Lane.objects.get(pk=self.target.pk).lease_token

    def is_switched_on(self) -> bool:
        return bool(TenantIntegration.objects.get(pk=self.target.pk).is_enabled)

    def is_resting(self, lane: Lane) -> bool:
        return lane.paused_until is not None and self.seconds_until("paused_until") > 0

    def seconds_until(self, column: str) -> float:
        """How far ahead a time of the lane is, by the database's clock."""
        until = sql.seconds_until(connection.vendor, column)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {until} FROM {Lane._meta.db_table} WHERE integration_id = %s",
                [self.target.pk],
            )
            return float(cursor.fetchone()[0])

    def due(self) -> list[int]:
        """Rows that may go now: due by their own time, with no earlier one that holds them back."""
        now = sql.now(connection.vendor)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT event_id FROM {IntegrationSync._meta.db_table} "
                f"WHERE integration_id = %s AND status = 'pending' AND next_attempt_at <= {now}",
                [self.target.pk],
            )
            events = [event for (event,) in cursor.fetchall()]
        return [event for event in events if not self.is_held_back(event, HOLD + 1)]

    def is_held_back(self, event: int, hold: float) -> bool:
        return any(
            earlier < event
            and row.name == self.rows[event].name
            and row.status == "pending"
            and (row.failed_at is None or self.now - row.failed_at < hold)
            for earlier, row in self.rows.items()
        )

    def teardown(self) -> None:
        """All is mended, and time passes: what is still owed arrives."""
        self.receiver = Receiver()
        operator_actions.re_enable(TenantIntegration.objects.get(pk=self.target.pk), actor="alice")
        for _ in range(40):
            if not any(row.status == "pending" for row in self.rows.values()):
                break
            self.wait([], 4000.0)
            self.take_a_turn()
            self.every_row_is_as_the_model_says()
        assert not any(row.status == "pending" for row in self.rows.values()), "something is left"


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("broker")
def test_a_lane_keeps_its_promises_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    machines: list[Delivering] = []

    class Machine(Delivering):
        def __init__(self) -> None:
            super().__init__()
            machines[:] = [self]

    kind = ConnectorRegistry.type_of("webhook")
    monkeypatch.setattr(kind, "deliver", lambda connector, envelope: machines[0].deliver(connector, envelope))
    monkeypatch.setattr(kind, "connect", lambda connector: None)
    # Unshrunk: what fails can be read, and making it shorter takes longer than a test may.
    some = settings(
        max_examples=40,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(Machine, settings=some)
