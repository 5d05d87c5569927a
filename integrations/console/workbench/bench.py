"""What every tab of the workbench has: the integration, its health, the tabs and the buttons of this person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integrations.connections.authorization import grant_of, wants_authorization
from integrations.connections.destinations import shown_target
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access, RoleNeeded
from integrations.console.one_integration import may_use_type, type_refused
from integrations.database import clock
from integrations.delivery.models import Lane
from integrations.errors import EncryptionError
from integrations.forms.choice import calls_back, connector_of
from integrations.health.explanations import has_new_secret
from integrations.health.reading import facts_of
from integrations.health.rule import Facts, Health, State, judge
from integrations.tenancy.capabilities import Capability

# Name of the tab, its title, name of its url.
TABS = (
    ("overview", gettext_noop("Overview"), "integration"),
    ("deliveries", gettext_noop("Deliveries"), "integration-deliveries"),
    ("events", gettext_noop("Events"), "integration-events"),
    ("settings", gettext_noop("Settings"), "integration-settings"),
    ("calling-back", gettext_noop("Calling back"), "integration-calling-back"),
    ("history", gettext_noop("History"), "integration-history"),
)
_ASKED = (Capability.TEST, Capability.PAUSE, Capability.SETTINGS, Capability.SECRETS, Capability.DELETE)


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab, as a link."""

    title: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Button:
    """Something that this person may do now.

    Attributes:
        will: what it will do, a sentence.
        is_page: it leads to a page that asks once more.
        style: ``primary``, ``danger`` or "".
    """

    name: str
    title: str
    will: str
    url: str
    icon: str
    is_page: bool = False
    style: str = ""


class Bench:
    """One integration as this person may see and use it."""

    def __init__(
        self,
        access: Access,
        integration: TenantIntegration,
        tab: str = "",
        *,
        facts: Facts | None = None,
        health: Health | None = None,
    ) -> None:
        self.access, self.integration, self.tab = access, integration, tab
        self.lane: Lane = getattr(integration, "lane", None) or Lane()
        self.connector = connector_of(integration.integration_type)
        self.manifest = self.connector.manifest if self.connector is not None else None
        self.facts: Facts = facts or facts_of([integration]).get(integration.pk) or Facts()
        self.health: Health = health or judge(self.facts, clock.now())

    @property
    def type_name(self) -> str:
        """What people call its connector type."""
        return self.manifest.label if self.manifest is not None else self.integration.integration_type

    @cached_property
    def target(self) -> str:
        """Where it leads, masked."""
        try:
            return shown_target(self.integration)
        except EncryptionError:
            return _("the stored address cannot be opened")

    @property
    def is_going(self) -> bool:
        """Somebody deleted it; its rows are on their way out."""
        return self.health.state is State.DELETING

    def may(self, capability: Capability) -> bool:
        """Tell whether this person may do it with this integration: its connector type must be theirs to use, too."""
        return self.refusal(capability) is None

    @cached_property
    def _may_use(self) -> bool:
        return self.manifest is None or may_use_type(self.access, self.manifest, self.integration.tenant)

    def refusal(self, capability: Capability) -> PermissionDenied | None:
        """Return why this person may not do it with this integration; None: they may."""
        integration = self.integration
        if not self.access.may(capability, integration.tenant_id):
            return RoleNeeded(capability, self.access.role_in(integration.tenant_id), integration.tenant)
        if self.is_going:
            return PermissionDenied(_("It is being deleted: nothing can be done with it any more."))
        return None if self._may_use else type_refused(self.type_name)

    @cached_property
    def for_others(self) -> list[tuple[str, list[str]]]:
        """What takes a larger role than this person's: (role, what it may do), the smallest role first."""
        found: dict[str, list[str]] = {}
        for capability in () if self.is_going else _ASKED:
            if not self.access.may(capability, self.integration.tenant_id):
                found.setdefault(capability.role.said, []).append(capability.words)
        return list(found.items())

    @property
    def may_change(self) -> bool:
        return self.may(Capability.SETTINGS)

    @cached_property
    def tabs(self) -> list[Tab]:
        found = []
        for name, title, url_name in TABS:
            if name == "calling-back" and (self.connector is None or not calls_back(self.connector)):
                continue
            if name == "events" and self.manifest is not None and not self.manifest.takes_events:
                continue
            url = reverse(f"console:{url_name}", args=[self.integration.public_id])
            found.append(Tab(_(title), url, name == self.tab))
        return found

    @cached_property
    def buttons(self) -> list[Button]:
        """What this person may do now, the most urgent first."""
        may = {capability: self.may(capability) for capability in _ASKED}
        return [button for capability, button in self._offers() if may[capability]]

    @property
    def main_button(self) -> Button | None:
        """The one beside the name: what is to be done now, else the test."""
        return next((each for each in self.buttons if each.style == "primary" or each.name in ("test", "check")), None)

    def _offers(self) -> Iterator[tuple[Capability, Button]]:
        """Yield what makes sense now, with what it takes."""
        facts, manifest = self.facts, self.manifest
        does = manifest.does if manifest is not None else ()
        if not facts.is_enabled:
            will = _("Switches it on again, after what was wrong was mended. What is pending goes out.")
            yield Capability.PAUSE, self._button("enable", _("Re-enable"), will, "play", style="primary")
        elif self.is_held:
            will = _("Ends the pause, and sends what waits at once.")
            if facts.paused_since is None:
                will = _("Sends what is pending now, without waiting for the next attempt.")
            yield Capability.PAUSE, self._button("resume", _("Resume"), will, "play", style="primary")
        if manifest is not None and manifest.oauth is not None and wants_authorization(self.integration):
            grant = grant_of(self.integration)
            is_connected = grant is not None and grant.is_connected
            title, style = (_("Connect again"), "") if is_connected else (_("Connect"), "primary")
            will = _("Leads to the provider, where you allow the access; you come back here.")
            yield Capability.SETTINGS, self._button("connect", title, will, "external", style=style)
        if has_new_secret(self.integration):
            will = _("Shows the signing secret that was made by schedule, once. The old one then signs beside it.")
            yield Capability.SECRETS, self._button("reveal", _("Show the new secret"), will, "keys", style="primary")
        if "deliver" in does:
            will = _("Sends one test event with the saved settings and shows the answer. It changes no delivery.")
            yield Capability.TEST, self._button("test", _("Send test event"), will, "deliveries")
        if "check" in does:
            will = _("Tries the saved credentials and sends nothing.")
            yield Capability.TEST, self._button("check", _("Check connection"), will, "check")
        if facts.takes_events and facts.is_active and facts.paused_since is None:
            will = _("Sends nothing more until somebody resumes. What happens meanwhile waits; no attempt is lost.")
            yield Capability.PAUSE, self._button("pause", _("Pause"), will, "pause")
        if manifest is not None and manifest.signs:
            will = _("Makes a new signing secret and shows it once; the old one signs beside it for a while.")
            yield Capability.SECRETS, self._page("rotate", _("Rotate signing secret"), will, "keys")
        will = _("Deletes it with its deliveries, in the background. It cannot be undone.")
        yield Capability.DELETE, self._page("delete", _("Delete"), will, "trash", style="danger")

    @property
    def resume_url(self) -> str:
        return reverse("console:integration-do", args=[self.integration.public_id, "resume"])

    @property
    def is_held(self) -> bool:
        """It is on, and there is something to end: a pause, an open breaker or a note for people."""
        facts = self.facts
        if not (facts.is_enabled and facts.is_active) or facts.awaits_connection or self.is_going:
            return False
        return bool(facts.paused_since or self.health.until or facts.times_opened or facts.attention)

    def _button(self, name: str, title: str, will: str, icon: str, *, style: str = "") -> Button:
        url = reverse("console:integration-do", args=[self.integration.public_id, name])
        return Button(name, title, will, url, icon, style=style)

    def _page(self, name: str, title: str, will: str, icon: str, *, style: str = "") -> Button:
        url = reverse(f"console:integration-{name}", args=[self.integration.public_id])
        return Button(name, title, will, url, icon, is_page=True, style=style)


def open_bench(access: Access, public_id: UUID, tab: str = "") -> Bench:
    """Return the workbench of the integration that an address names.

    Raises:
        Http404: it does not exist, or is of a tenant that this person does not see.
    """
    rows: Any = TenantIntegration.objects.select_related("tenant", "lane", "oauth_grant")
    return Bench(access, access.one(rows, public_id=public_id), tab)
