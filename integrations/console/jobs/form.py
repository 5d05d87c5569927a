"""What a job is to do, as people fill it in: read from an address, so that a list of deliveries can link here with its
filter, and a preview can be shared."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError

from integrations.connections import event_types
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.console.access import Access
from integrations.console.one_integration import may_act_on, not_usable
from integrations.errors import IncompatibleConnector, UnknownConnector
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.models import MOST_PACE, USUAL_PACE
from integrations.jobs.replay import ReplayFilter
from integrations.jobs.snapshots import sources
from integrations.outbox.filters import FindObjects, SyncFilter
from integrations.outbox.models import IntegrationSync
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.tenant import name_of

OFFERED = 500  # integrations that a select names
COLUMNS = ("name", "public_id", "tenant", "integration_type", "is_active", "is_enabled")
LISTS = ("status",)

Status = IntegrationSync.Status


class _JobForm(forms.Form):
    """Of both kinds; `tenant_id` and `target`, its integration, are known once it is valid."""

    kind: str
    takes: Capability
    pace = forms.IntegerField(
        label=_("Pace"),
        min_value=1,
        max_value=MOST_PACE,
        help_text=_("Deliveries per second, at most. What happens meanwhile is sent beside them."),
    )

    def __init__(
        self,
        access: Access,
        data: QueryDict | None = None,
        initial: QueryDict | None = None,
        find: FindObjects | None = None,
    ) -> None:
        self.access = access
        self.find = find  # which objects words mean
        given = initial if initial is not None else QueryDict()
        start: dict[str, Any] = {"pace": USUAL_PACE}
        start |= {name: given.getlist(name) if name in LISTS else given[name] for name in given}
        super().__init__(data, initial=start, auto_id="job_%s", label_suffix="")
        self.target: TenantIntegration | None = None
        self.tenant_id: Any = None
        self._offer_integrations(given.get("integration") or (data.get("integration", "") if data is not None else ""))

    def _offer_integrations(self, chosen: str) -> None:
        rows = self._integrations()
        found = list(rows.order_by("name", "pk")[:OFFERED])
        if chosen and all(str(each.public_id) != chosen for each in found):
            found += [each for each in [self._one(chosen)] if each is not None]
        choices = [(str(each.public_id), self._named(each)) for each in found if self._is_offered(each)]
        field: Any = self.fields["integration"]
        field.error_messages["invalid_choice"] = _("There is no such integration.")
        field.choices = [("", _("All integrations") if not field.required else "—"), *choices]

    def _integrations(self) -> Any:
        rows = TenantIntegration.objects.present().select_related("tenant").only(*COLUMNS)
        return self.access.rows(rows)

    def _one(self, public_id: str) -> TenantIntegration | None:
        which, errors = SyncFilter.from_query({"integration": public_id})
        if errors or which.integration is None:
            return None
        found: TenantIntegration | None = self._integrations().filter(public_id=which.integration).first()
        return found

    def _named(self, integration: TenantIntegration) -> str:
        return f"{integration.name} · {name_of(integration.tenant)}" if self.access.sees_several else integration.name

    def _is_offered(self, integration: TenantIntegration) -> bool:
        return self.access.may(self.takes, integration.tenant_id) and may_act_on(self.access, integration)

    def _find_integration(self) -> None:
        if public_id := self.cleaned_data.get("integration"):
            self.target = self._one(public_id)
            if self.target is not None:
                self.tenant_id = self.target.tenant_id


class ReplayForm(_JobForm):
    """A filter of deliveries, and whose they are."""

    kind, takes = "replay", Capability.RETRY
    tenant = forms.ChoiceField(label=_("Tenant"), required=False)
    integration = forms.ChoiceField(label=_("Integration"), required=False)
    status = forms.MultipleChoiceField(
        label=_("What became of them"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all three. Deliveries that are still pending are always left alone."),
    )
    since = forms.CharField(
        label=_("Recorded from"),
        required=False,
        widget=forms.TextInput(attrs={"list": "ago", "placeholder": "24h"}),
        help_text=_("1h, 24h, 7d for so long ago, or a time: 2026-11-30 or 2026-11-30T12:00."),
    )
    until = forms.CharField(label=_("Recorded until"), required=False, widget=forms.TextInput(attrs={"list": "ago"}))
    event_type = forms.ChoiceField(label=_("Event type"), required=False)
    response_status = forms.CharField(
        label=_("HTTP status"), required=False, help_text=_("404, a class such as 5xx, or none for no answer.")
    )
    error = forms.CharField(label=_("Words of the error"), required=False)
    object = forms.CharField(
        label=_("Object"),
        required=False,
        help_text=_("Its reference or other words of it; its id, such as tasks.workitem:42; or a webhook-id."),
    )
    field_order = (
        "tenant",
        "integration",
        "status",
        "since",
        "until",
        "event_type",
        "response_status",
        "error",
        "object",
    )

    def __init__(
        self, access: Access, data: QueryDict | None = None, initial: QueryDict | None = None, **more: Any
    ) -> None:
        super().__init__(access, data, initial, **more)
        self.which = ReplayFilter()
        ended = [choice for choice in Status.choices if choice[0] in (Status.FAILED, Status.CANCELLED, Status.SYNCED)]
        given = data.getlist("status") if data is not None else self.initial.get("status", [])
        ended += [choice for choice in Status.choices if choice[0] == Status.SKIPPED and Status.SKIPPED in given]
        self.fields["status"].choices = ended  # type: ignore[attr-defined]
        self.fields["event_type"].choices = [("", _("All event types")), *event_types.recorded()]  # type: ignore[attr-defined]
        if access.tenant is None:
            mine = [tenant for tenant in access.tenants if access.may(self.takes, tenant.pk)]
            choices = [(str(tenant.pk), name_of(tenant)) for tenant in mine]
            self.fields["tenant"].choices = [("", _("The integration's")), *choices]  # type: ignore[attr-defined]
        else:
            del self.fields["tenant"]

    def clean(self) -> dict[str, Any]:
        """Read the filter, and say at each field what is wrong with it."""
        self._find_integration()
        said = {name: value for name, value in self.cleaned_data.items() if name in SyncFilter.model_fields and value}
        said.pop("tenant", None)
        self.which, errors = ReplayFilter.from_query(said)
        for name, words in errors.items():
            self.add_error(name if name in self.fields else None, words)
        if not self.which.status:
            ended = (Status.FAILED, Status.CANCELLED, Status.SYNCED)
            self.which = self.which.model_copy(update={"status": tuple(str(state) for state in ended)})
        if self.which.object and self.find is not None:
            meant = tuple((content_type, tuple(ids)) for content_type, ids in self.find(self.which.object))
            self.which = self.which.model_copy(update={"objects": meant})
        chosen = self.cleaned_data.get("tenant")
        if self.tenant_id is None:
            self.tenant_id = self.access.tenant.pk if self.access.tenant is not None else self._tenant_key(chosen)
        elif chosen and str(self.tenant_id) != chosen:
            self.add_error("integration", _("This integration belongs to another tenant."))
        named = self.data.get("tenant")
        if "tenant" not in self.fields and named and named != str(self.access.tenant.pk):
            # What is looked at was changed in another window; nothing must begin there that was shown for here.
            self.add_error(None, _("This was for another tenant than the one you look at now. Switch back to it."))
        if self.tenant_id is None and not self.errors:
            self.add_error("tenant", _("Choose a tenant or an integration: a job belongs to one tenant."))
        tenant = next((each for each in self._tenants() if each.pk == self.tenant_id), None)
        if self.target is None and tenant is not None and (refused := not_usable(self.access, tenant)):
            words = str(_("Choose one. All of them takes connectors that you may not use: {names}."))
            self.add_error("integration", words.format(names=", ".join(refused)))
        return self.cleaned_data

    def _tenants(self) -> list[Any]:
        return [self.access.tenant] if self.access.tenant is not None else self.access.tenants

    def _tenant_key(self, chosen: str | None) -> Any:
        return next((tenant.pk for tenant in self.access.tenants if str(tenant.pk) == chosen), None)

    def kept(self) -> list[tuple[str, str]]:
        """Return what the button that starts the job sends, with times as they are now."""
        which = SyncFilter(**self.which.model_dump(exclude={"ids", "objects"}))
        query = which.fixed().to_query()
        query["tenant"] = [str(self.tenant_id)]
        query |= {"kind": [self.kind], "pace": [str(self.cleaned_data["pace"])]}
        return [(name, value) for name, values in query.items() for value in values]


class BackfillForm(_JobForm):
    """One integration, and which objects it is shown."""

    kind, takes = "backfill", Capability.BACKFILL
    integration = forms.ChoiceField(label=_("Integration"))
    model = forms.ChoiceField(label=_("Objects"))
    condition = forms.CharField(
        label=_("Condition"),
        required=False,
        widget=forms.TextInput(attrs={"class": "mono", "placeholder": "workitem.priority == 'Urgent'"}),
        help_text=_("JMESPath over what is sent, as in a subscription; empty: all of them."),
    )
    field_order = ("integration", "model", "condition", "pace")

    def __init__(
        self, access: Access, data: QueryDict | None = None, initial: QueryDict | None = None, **more: Any
    ) -> None:
        super().__init__(access, data, initial, **more)
        self.which: BackfillFilter | None = None
        offered = sources()
        labels = [(source.label, f"{source.plural[:1].upper()}{source.plural[1:]}") for source in offered]
        self.fields["model"].choices = labels  # type: ignore[attr-defined]

    def _is_offered(self, integration: TenantIntegration) -> bool:
        try:
            does = ConnectorRegistry.type_of(integration.integration_type).manifest.does
        except (UnknownConnector, IncompatibleConnector):
            return False
        return "deliver" in does and super()._is_offered(integration)

    def clean(self) -> dict[str, Any]:
        """Read which objects are meant, and say what is wrong with the condition."""
        self._find_integration()
        if model := self.cleaned_data.get("model"):
            try:
                self.which = BackfillFilter(model=model, condition=self.cleaned_data.get("condition", ""))
            except ValidationError as error:
                self.add_error("model", str(error.errors()[0]["msg"]).removeprefix("Value error, "))
            else:
                if problem := self.which.problem():
                    self.add_error("condition", problem)
        if self.target is not None and not self.target.is_active:
            self.add_error("integration", _("It is switched off, and gets nothing. Switch it on first."))
        return self.cleaned_data

    def kept(self) -> list[tuple[str, str]]:
        """Return what the button that starts the job sends."""
        names = ("integration", "model", "condition", "pace")
        return [("kind", self.kind), *((name, str(self.cleaned_data[name])) for name in names)]


FORMS: dict[str, type[ReplayForm] | type[BackfillForm]] = {"replay": ReplayForm, "backfill": BackfillForm}
