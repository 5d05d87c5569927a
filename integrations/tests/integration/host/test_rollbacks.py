"""What an instance remembers of its row is true after a rollback, too: of a transaction, and of a savepoint."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from integrations.models import AbstractConnection, TenantIntegration
from integrations.tests.factories import make_item, make_tenant
from tasks.models import WorkItem

from .conftest import Make, changed

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
RUN_TIME = {"is_enabled": False, "is_connected": False, "auth_failure_count": 2, "disabled_reason": "by hand"}


class Undone(Exception):
    pass


def rolled_back(action: Callable[[], Any], *, savepoint: bool = False) -> None:
    """Do it in a transaction that ends badly, or in a savepoint of one that does not."""

    def undone() -> None:
        with pytest.raises(Undone), transaction.atomic():
            action()
            raise Undone

    if not savepoint:
        undone()
        return
    with transaction.atomic():
        undone()


def row(connection: AbstractConnection) -> Any:
    return type(connection)._base_manager.get(pk=connection.pk)


@pytest.mark.parametrize("savepoint", [False, True])
def test_what_was_rolled_back_is_saved_by_the_next_save(savepoint: bool, connection: AbstractConnection) -> None:
    def save() -> None:
        for column, value in RUN_TIME.items():
            setattr(connection, column, value)
        connection.save()

    rolled_back(save, savepoint=savepoint)
    save()
    stored = row(connection)
    assert {column: getattr(stored, column) for column in RUN_TIME} == RUN_TIME


def test_the_save_after_a_savepoint_in_the_same_transaction(connection: AbstractConnection) -> None:
    with transaction.atomic():
        connection.is_enabled = False
        connection.save()

        def back() -> None:
            connection.is_enabled = True
            connection.save()

        rolled_back(back)
        connection.is_enabled = True
        connection.save()
    assert row(connection).is_enabled


def test_two_saves_in_one_transaction(connection: AbstractConnection) -> None:
    with transaction.atomic():
        for is_enabled in (False, True, False, True):
            connection.is_enabled = is_enabled
            connection.save()
    assert row(connection).is_enabled


def test_what_was_read_again_before_the_rollback(connection: AbstractConnection) -> None:
    def save() -> None:
        connection.is_enabled = False
        connection.save()
        connection.refresh_from_db()

    rolled_back(save)
    connection.is_enabled = False
    connection.save()
    assert not row(connection).is_enabled


def test_what_was_first_read_before_the_rollback(connection: AbstractConnection) -> None:
    read: list[Any] = []

    def update_and_read() -> None:
        type(connection)._base_manager.filter(pk=connection.pk).update(is_enabled=False)
        read.append(row(connection))

    rolled_back(update_and_read)
    read[0].is_enabled = False
    read[0].save()
    assert not row(connection).is_enabled


@pytest.mark.parametrize("times", [1, 3])
def test_refusals_that_were_rolled_back(times: int, connection: AbstractConnection) -> None:
    def refuse() -> None:
        for _ in range(times):
            connection.record_auth_failure()

    rolled_back(refuse)
    connection.auth_failure_count, connection.is_enabled = 3, False
    connection.save()
    stored = row(connection)
    assert (stored.auth_failure_count, stored.is_enabled) == (3, False)


def test_a_re_enabling_that_was_rolled_back(connection: AbstractConnection) -> None:
    connection.is_enabled = False
    connection.save()
    rolled_back(connection.re_enable)
    connection.is_enabled = True
    connection.save()
    assert row(connection).is_enabled


def test_it_is_announced_when_it_is_true(connection: AbstractConnection, heard: list[Any]) -> None:
    def save() -> None:
        connection.is_enabled = False
        connection.save()

    rolled_back(save)
    assert heard == []
    save()
    assert heard == [changed(connection, (True, True), (True, False))]


@pytest.mark.parametrize("kind", ["host", "ours"])
@pytest.mark.parametrize("savepoint", [False, True])
def test_a_new_one_whose_insert_was_rolled_back(kind: str, savepoint: bool, make: Make) -> None:
    """A copy of a saved one stands for it, so that what it belongs to stays."""
    made = make(kind)
    made.delete()
    new: Any = copy.copy(made)
    new.pk, new._state.adding = None, True

    rolled_back(new.save, savepoint=savepoint)
    new.is_enabled = False
    new.save()
    assert not row(new).is_enabled and row(new).credentials == made.credentials


def test_the_event_type_of_one_whose_insert_was_rolled_back() -> None:
    tenant = make_tenant()
    new = TenantIntegration(tenant=tenant, name="CRM", integration_type="webhook", event_type="workitem_created")
    rolled_back(new.save)
    new.save()
    assert new.event_type == "workitem_created"
    new.subscribe("workitem_deleted")
    new.save()
    assert new.event_type == "workitem_deleted"


def test_what_somebody_else_wrote_meanwhile_still_stays(connection: AbstractConnection) -> None:
    type(connection)._base_manager.filter(pk=connection.pk).update(is_enabled=False)
    with transaction.atomic():
        connection.credentials = {"token": "another"}
        connection.save()
        connection.save()
    assert not row(connection).is_enabled


def test_an_instance_is_copied_and_pickled_in_a_transaction(connection: AbstractConnection) -> None:
    with transaction.atomic():
        connection.is_enabled = False
        connection.save()
        copies: list[Any] = [copy.copy(connection), copy.deepcopy(connection), pickle.loads(pickle.dumps(connection))]
    for each in copies:
        each.is_enabled = True
        each.save()
        assert row(connection).is_enabled
        type(connection)._base_manager.filter(pk=connection.pk).update(is_enabled=False)


def test_a_work_item_that_was_never_stored_may_be_of_another_tenant() -> None:
    acme, globex = make_tenant(), make_tenant("Globex")
    item = WorkItem(tenant=acme, reference_id="RMA-1")
    rolled_back(item.save)
    item.tenant = globex
    item.save()
    assert WorkItem.objects.get().tenant == globex


def test_a_stored_one_may_not() -> None:
    acme, globex = make_tenant(), make_tenant("Globex")
    item = make_item(acme)
    item.tenant = globex
    with pytest.raises(ValueError, match="cannot move to another tenant"):
        item.save()
