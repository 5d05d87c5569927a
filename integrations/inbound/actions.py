"""What an integration may do here when it calls back: named actions, allowed one by one.

    register_action("task-close", "Close a task", close_task, help="…")      in integrations.py of its app

An action does its work in the transaction in which its webhook is marked as processed, on behalf of the integration:
it hears nothing of what it did itself (acting.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from integrations.acting import caused_by
from integrations.errors import IntegrationPermanentError, IntegrationTemporaryError

if TYPE_CHECKING:
    from integrations.connectors.base import BaseConnector
    from integrations.connectors.incoming import WebhookDTO

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PERMISSION = re.compile(r"\w+\.\w+")
MAX_NAME = 100  # the column of the stored webhook

Handle = Callable[["WebhookDTO", Any], None]


@dataclass(frozen=True, slots=True)
class InboundAction:
    """One thing that an integration may be allowed to do.

    Attributes:
        name: the last part of the address that it calls: ``webhooks/<id>/<name>/``.
        label: what people tick in the form.
        handle: called with the parsed webhook and its integration.
        help: one sentence for the form: what it changes, what it needs.
        permission: what a person needs who ticks it, "" for nothing.
    """

    name: str
    label: str
    handle: Handle
    help: str = ""
    permission: str = ""


_actions: dict[str, InboundAction] = {}


def register_action(name: str, label: str, handle: Handle, help: str = "", *, permission: str = "") -> None:
    """Offer an action; a later one of the same name takes its place.

    Args:
        name: lower-case words joined by hyphens, at most 100 characters, e.g. ``workitem-note``.
        label: for people, e.g. "Add a note to a work item".
        handle: ``handle(dto, connection)``; runs in a transaction. Whatever is wrong with the input it raises as
            `IntegrationPermanentError` with the field and the fix; anything else that it raises is tried again.
            It must look only at rows of ``connection.tenant_id``.
        permission: whoever ticks the action needs it, e.g. ``tasks.change_workitem``: who may let an integration do
            something, and signs its calls, does it. "": whoever may change the integration.

    Raises:
        ValueError: the name cannot stand in an address, or `permission` is none.
    """
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(f"an action's name is lower-case words joined by hyphens, not {name[:MAX_NAME]!r}")
    if permission and not PERMISSION.fullmatch(permission):
        raise ValueError(f"a permission's name is app.codename, e.g. tasks.change_workitem, not {permission[:100]!r}")
    _actions[name] = InboundAction(name, label, handle, help, permission)


def forget_action(name: str) -> None:
    """Offer `name` no longer; integrations that were allowed it keep the word, and are refused."""
    _actions.pop(name, None)


def action_named(name: str) -> InboundAction | None:
    """Return the action, None if there is none: the webhook is then for the receivers of the signals alone."""
    return _actions.get(name)


def action_choices() -> list[tuple[str, str]]:
    """Return (name, label) of every action, as the form offers them."""
    return [(action.name, action.label) for _, action in sorted(_actions.items())]


def not_theirs(user: Any, names: Iterable[str], ticked: Iterable[str] = ()) -> str:
    """Say which of `names` this person may not tick, and who may; "" if there are none.

    Args:
        user: who ticks them.
        names: what shall be ticked.
        ticked: what is ticked already: that stays, whoever saves.
    """
    added = sorted(set(names) - set(ticked))
    wanted = {name: _actions[name].permission for name in added if name in _actions and _actions[name].permission}
    refused = [f"{name} ({wanted[name]})" for name in wanted if not user.has_perm(wanted[name])]
    if not refused:
        return ""
    return f"only somebody with the permission in brackets may tick {', '.join(refused)}; untick it, or ask them"


def is_allowed(connection: Any, name: str) -> bool:
    """Tell whether somebody ticked `name` for this integration; nothing is allowed by itself."""
    return name in _actions and name in (getattr(connection, "inbound_actions", None) or ())


def why_not(connection: Any, name: str) -> str:
    """Return the sentence for somebody who has proven himself and calls what he may not: a slip, or a box to tick."""
    if name in _actions:
        return f"This integration may not do {name}: tick it in its form, under “May do when it calls back”."
    offered = ", ".join(name for name, _ in action_choices() if is_allowed(connection, name))
    return f"There is no action {name}. This integration may do: {offered or 'nothing yet'}."


def asks_for_action(connection: Any, adapter: BaseConnector | None, name: str) -> bool:
    """Tell whether a webhook to the address `name` wants something done here, for which somebody must have ticked it.

    Other names are a provider's news, for the receivers of the signals. So is everything that comes to a host's own
    model without ``inbound_actions``.
    """
    if adapter is None or not hasattr(connection, "inbound_actions"):
        return False
    return adapter.takes_only_actions or name in _actions


def run_action(name: str, dto: WebhookDTO, connection: Any) -> None:
    """Do it on behalf of `connection`, in the caller's transaction; all of it or, if it raises, nothing.

    Args:
        name: a registered action.
        dto: the webhook, parsed; its signature is proven.
        connection: the integration that called.

    Raises:
        IntegrationPermanentError: there is no such action, the integration may not do it (any more), or the input is
            wrong; the message names the field and the fix.
    """
    action = _actions.get(name)
    if action is None:
        raise IntegrationPermanentError(f"There is no action {name[:MAX_NAME]}.", code="unknown_action")
    if not is_allowed(connection, name):
        raise IntegrationPermanentError(why_not(connection, name), code="forbidden")
    # A savepoint: the caller goes on to write down why it failed, and nothing else may remain.
    using = connection._state.db or "default"
    with transaction.atomic(using=using), caused_by(connection.pk):
        action.handle(dto, connection)
        if transaction.get_rollback(using):
            # It would be undone without a word, and its webhook be marked as processed.
            raise IntegrationTemporaryError("the action rolled its transaction back", code="rolled_back")
