"""Which deliveries: one filter for the console's list, a job, the API and a link between them.

What the database finds by an index, and what it must read rows for:

====================  =====================================================================================
filter                how it is found
====================  =====================================================================================
integration           index `sync_history` (newest first); with a pending status, its three partial indexes
status ``failed``     index `sync_failed` (newest first)
object                index `event_history_of_object`, then the unique pair (event, integration)
webhook-id            the event's unique key, as the object
everything else       rows are read and looked at: bound the ids (or the integration) around it
====================  =====================================================================================

Dates are those of the row's recording; ids ascend with them, but for transactions that were open at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.tenancy.harmless_text import problem_of
from integrations.tenancy.tenant import find_tenant

from .models import MAX_OBJECT_ID, IntegrationSync

MOST_VALUES = 50  # of one filter
RETRYING = "retrying"  # pending, and failed before; no status of the row
NO_ANSWER = "none"
_AGO = re.compile(r"([1-9][0-9]{0,4})(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_CODE = re.compile(r"[1-5][0-9][0-9]|[1-5]xx|none")

# Of words, the objects that they mean: (content type id, object ids as `IntegrationEvent.object_id` has them).
FindObjects = Callable[[str], Iterable[tuple[int, list[str]]]]


def statuses() -> tuple[str, ...]:
    """Return what `SyncFilter.status` may name."""
    return (*IntegrationSync.Status.values, RETRYING)


def _list(value: Any) -> Any:
    """Accept one value, several with commas, or a list of such; each once, in order."""
    parts = [value] if isinstance(value, str | int) and not isinstance(value, bool) else value
    if not isinstance(parts, list | tuple):
        return value
    words = [word.strip() for part in parts for word in str(part).split(",")]
    found = tuple(dict.fromkeys(word for word in words if word))
    if len(found) > MOST_VALUES:
        raise ValueError(_("has {number} values; {most} are allowed").format(number=len(found), most=MOST_VALUES))
    return found


def _known_statuses(values: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [value for value in values if value not in statuses()]:
        raise ValueError(
            _("“{unknown}” is no status; there are: {known}").format(unknown=unknown[0], known=", ".join(statuses()))
        )
    return values


def _answers(values: tuple[str, ...]) -> tuple[str, ...]:
    values = tuple(value.lower() for value in values)
    if wrong := [value for value in values if not _CODE.fullmatch(value)]:
        raise ValueError(
            _("“{wrong}” is no HTTP status; write 404, a class such as 5xx, or none for no answer").format(
                wrong=wrong[0]
            )
        )
    return values


def _text(most: int) -> Any:
    def check(value: str) -> str:
        value = value.strip()
        if problem := problem_of(value):
            raise ValueError(problem)
        if len(value) > most:
            raise ValueError(_("has {number} characters; {most} are allowed").format(number=len(value), most=most))
        return value

    return AfterValidator(check)


def _each_text(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if problem := problem_of(value):
            raise ValueError(problem)
        if len(value) > 100:
            raise ValueError(
                _("“{value}…” has {number} characters; 100 are allowed").format(value=value[:30], number=len(value))
            )
    return values


def _integration(value: Any) -> Any:
    if value in (None, ""):
        return None
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise ValueError(
            _("“{value}” is no integration's id; copy it from the integration's page").format(value=str(value)[:60])
        ) from None


def _moment(value: Any) -> Any:
    """Accept a datetime, its text in ISO 8601 (without a zone: the current one), a date, or a time ago ("24h")."""
    if value in (None, ""):
        return None
    if isinstance(value, str):
        text = value.strip()
        if _AGO.fullmatch(text):
            return text
        try:
            # "+" of a zone arrives as a blank from an address that somebody typed.
            found = parse_datetime(re.sub(r" (\d\d:?\d\d)$", r"+\1", text)) or parse_date(text)
        except ValueError:
            found = None
        if found is None:
            raise ValueError(
                _("“{text}” is no time; write 2026-11-30T12:00, 2026-11-30, or 1h, 24h, 7d for ago").format(
                    text=text[:60]
                )
            )
        value = found
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # in the current zone, below
    if isinstance(value, datetime) and timezone.is_naive(value):
        value = timezone.make_aware(value)
    if isinstance(value, datetime) and not 1970 < value.year < 9999:
        raise ValueError(_("the year {year} is out of range").format(year=value.year))
    return value


def _end(value: Any) -> Any:
    """Accept what `_moment` does; a date alone includes that day."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", value):
        begin = _moment(value)
        return begin if begin is None else timezone.make_aware(timezone.make_naive(begin) + timedelta(days=1))
    return _moment(value)


Moment = datetime | str | None


class SyncFilter(BaseModel):
    """Chooses deliveries; empty, it chooses all. Says nothing about who may see them: `apply` it to what is visible.

    Attributes:
        status: one or several of `statuses`.
        response_status: HTTP statuses of the last answer: "404", a class "5xx", "none" (there was no answer).
        error: words of the last error, or of the reason for which it ended.
        event_type: one or several.
        object: "42" (its id), "tasks.workitem:42" (of that model), a webhook-id, or words that `find` of `q` knows.
        integration: its `public_id`.
        tenant: its key or its slug.
        since: recorded at this moment or later; a datetime, or so long ago: "30m", "24h", "7d".
        until: recorded before this moment; the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Annotated[tuple[str, ...], BeforeValidator(_list), AfterValidator(_known_statuses)] = ()
    response_status: Annotated[tuple[str, ...], BeforeValidator(_list), AfterValidator(_answers)] = ()
    error: Annotated[str, _text(200)] = ""
    event_type: Annotated[tuple[str, ...], BeforeValidator(_list), AfterValidator(_each_text)] = ()
    object: Annotated[str, _text(MAX_OBJECT_ID + 100)] = ""
    integration: Annotated[UUID | None, BeforeValidator(_integration)] = None
    tenant: Annotated[str, _text(200)] = ""
    since: Annotated[Moment, BeforeValidator(_moment)] = None
    until: Annotated[Moment, BeforeValidator(_end)] = None

    @field_validator("until")
    @classmethod
    def _is_after_since(cls, until: Moment, info: ValidationInfo) -> Moment:
        begin, end = _resolved(info.data.get("since")), _resolved(until)
        if begin is not None and end is not None and begin >= end:
            raise ValueError(_("is not after “from”; nothing could be found between them"))
        return until

    # -- from and to ------------------------------------------------------------------------------

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> tuple[Self, dict[str, str]]:
        """Return the filter that a query string (or a form) names, and what is wrong with it, by field.

        What is wrong is left out of the filter, so that a page can still be shown; keys of other things are ignored.
        """
        read = getattr(query, "getlist", None)
        said: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            if name in query:
                value = read(name) if read is not None else query[name]
                if isinstance(value, list) and field.default != ():
                    value = value[-1] if value else ""
                said[name] = value
        errors: dict[str, str] = {}
        while True:
            try:
                return cls(**said), errors
            except ValidationError as error:
                for each in error.errors():
                    name = str(each["loc"][0])
                    errors[name] = each["msg"].removeprefix("Value error, ")
                    said.pop(name, None)

    def to_query(self) -> dict[str, list[str]]:
        """Return what `from_query` reads; for ``urlencode(…, doseq=True)`` or ``QueryDict``."""
        found: dict[str, list[str]] = {}
        for name, value in self:
            if isinstance(value, tuple):
                words = list(value)
            elif isinstance(value, datetime):
                words = [value.isoformat()]
            else:
                words = [] if value in (None, "") else [str(value)]
            if words:
                found[name] = words
        return found

    def to_json(self) -> dict[str, Any]:
        """Return it for a JSON column; `SyncFilter.model_validate` reads it."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def fixed(self) -> Self:
        """Return it with "24h" turned into the moment that is meant now: for what is kept."""
        begin, end = self.moments()
        return self.model_copy(update={"since": begin, "until": end})

    @property
    def is_empty(self) -> bool:
        return not self.to_query()

    # -- choosing ---------------------------------------------------------------------------------

    def moments(self) -> tuple[datetime | None, datetime | None]:
        """Return (since, until) as moments, by the database's clock."""
        return _resolved(self.since), _resolved(self.until)

    def q(self, find: FindObjects | None = None) -> Q:
        """Return the condition on `IntegrationSync`.

        Args:
            find: what objects words mean; None: `object` is an id or a webhook-id, nothing else.
        """
        found = self._status_q() & self._answer_q()
        if self.error:
            found &= Q(last_error__icontains=self.error) | Q(reason__icontains=self.error)
        if self.event_type:
            found &= Q(event__event_type__in=self.event_type)
        if self.object:
            found &= self._object_q(find)
        if self.integration is not None:
            pk = TenantIntegration.unannounced.filter(public_id=self.integration).values_list("pk", flat=True).first()
            found &= _NOTHING if pk is None else Q(integration_id=pk)
        if self.tenant:
            tenant = find_tenant(self.tenant)
            found &= _NOTHING if tenant is None else Q(integration__tenant_id=tenant.pk)
        begin, end = self.moments()
        if begin is not None:
            found &= Q(created_at__gte=begin)
        return found & Q(created_at__lt=end) if end is not None else found

    def apply(self, syncs: QuerySet[Any], find: FindObjects | None = None) -> QuerySet[Any]:
        """Return those of `syncs` that it chooses."""
        return syncs.filter(self.q(find))

    def _status_q(self) -> Q:
        if not self.status:
            return Q()
        stored = [word for word in self.status if word != RETRYING]
        found = Q(status=stored[0]) if len(stored) == 1 else Q(status__in=stored)
        if RETRYING in self.status:
            retrying = Q(status=IntegrationSync.Status.PENDING, first_failed_at__isnull=False)
            found = found | retrying if stored else retrying
        return found

    def _answer_q(self) -> Q:
        found = Q()
        for word in self.response_status:
            if word == NO_ANSWER:
                found |= Q(response_status=None)
            elif word.endswith("xx"):
                begin = int(word[0]) * 100
                found |= Q(response_status__gte=begin, response_status__lt=begin + 100)
            else:
                found |= Q(response_status=int(word))
        return found

    def _object_q(self, find: FindObjects | None) -> Q:
        label, colon, object_id = self.object.partition(":")
        if colon and (content_type := _content_type(label)) is not None:
            return Q(event__content_type_id=content_type, event__object_id=object_id)
        if self.object.startswith("evt_"):
            return Q(event__idempotency_key=self.object)
        every = list(ContentType.objects.order_by("pk").values_list("pk", flat=True))  # the index begins with it
        found = Q(event__content_type_id__in=every, event__object_id=self.object)
        for content_type, object_ids in find(self.object) if find is not None else ():
            found |= Q(event__content_type_id=content_type, event__object_id__in=object_ids)
        return found

    # -- in words ---------------------------------------------------------------------------------

    def in_words(self, integration_name: str | None = None) -> str:
        """Return it for people: "failed deliveries of n8n since 30 Nov, 12:00".

        Args:
            integration_name: if the caller knows it; else it is looked up.
        """
        words = [_joined(self.status), "deliveries"] if self.status else ["deliveries"]
        if self.event_type:
            words.append(f"of {_joined(self.event_type)}")
        if self.integration is not None:
            names = TenantIntegration.unannounced.filter(public_id=self.integration).values_list("name", flat=True)
            name = integration_name or names.first() or _("an integration that is gone")
            words.append(f"{'to' if self.event_type else 'of'} {name}")
        if self.tenant:
            words.append(f"for {self.tenant}")
        if self.object:
            words.append(f"about {self.object}")
        if self.response_status:
            answers = [
                _("without an answer") if word == NO_ANSWER else _("answered {word}").format(word=word)
                for word in self.response_status
            ]
            words.append(_joined(answers))
        if self.error:
            words.append(_("with “{error}” in the error").format(error=self.error))
        words += self._range_in_words()
        return " ".join(words) if len(words) > 1 else _("all deliveries")

    def _range_in_words(self) -> list[str]:
        words = []
        if isinstance(self.since, str):
            words.append(_("of the last {span}").format(span=_ago_in_words(self.since)))
        elif self.since is not None:
            words.append(f"since {_at(self.since)}")
        if isinstance(self.until, str):
            words.append(f"until {_ago_in_words(self.until)} ago")
        elif self.until is not None:
            words.append(f"until {_at(self.until)}")
        return words


_NOTHING = Q(pk__in=[])


def _resolved(moment: Moment) -> datetime | None:
    if not isinstance(moment, str):
        return moment
    number, unit = _AGO.fullmatch(moment).groups()  # type: ignore[union-attr] # `_moment` let it in
    return clock.now() - timedelta(**{_UNITS[unit]: int(number)})


def _content_type(label: str) -> int | None:
    """Return the content type that "tasks.workitem", or its id, names."""
    app, dot, model = label.lower().partition(".")
    if dot:
        return ContentType.objects.filter(app_label=app, model=model).values_list("pk", flat=True).first()
    return int(label) if label.isascii() and label.isdigit() and len(label) < 10 else None


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _ago_in_words(word: str) -> str:
    number, unit = word[:-1], _UNITS[word[-1]]
    return unit.removesuffix("s") if number == "1" else f"{number} {unit}"


def _at(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{local.day} {local:%b}, {local:%H:%M}" if local.year == clock.now().year else f"{local:%d %b %Y, %H:%M}"
