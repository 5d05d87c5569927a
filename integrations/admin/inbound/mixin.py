"""Inbound webhooks in the admin of anybody's model: what came, whether it was true, what became of it; and again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.admin.lists.history import History
from integrations.admin.lists.recent_filters import ActionFilter, ConnectionFilter, EventTypeFilter, OutcomeFilter
from integrations.admin.pages.object_buttons import Button, ObjectButtons
from integrations.admin.widgets.assets import Assets
from integrations.audit.trail import DELETED, record_rows
from integrations.inbound import by_hand as inbound_actions
from integrations.inbound.models import AbstractWebhookEvent
from integrations.pages.display import NOTHING, Badge, exact, inbound_badge, inbound_story, short, switched_off, when
from integrations.pages.received import shown_body, shown_headers, shown_json
from integrations.tenancy.harmless_text import harmless

Status = AbstractWebhookEvent.Status


class WebhookEventAdminMixin(History, ObjectButtons):
    """For the ModelAdmin of a model derived from AbstractWebhookEvent: read-only, newest first.

    Whoever has the change permission may have rows processed again; whoever has the delete permission may delete
    them, as a person's right to be forgotten demands.
    """

    list_display: Any = ("state", "what", "connection_name", "received", "copies", "problem")
    list_filter: ClassVar[Any] = (OutcomeFilter, ConnectionFilter, EventTypeFilter, ActionFilter)
    search_fields: ClassVar[Any] = ("idempotency_key",)  # get_search_results does it
    search_help_text = "The provider's id of the delivery, or our number of it."
    actions: Any = ("process_again", "replay")
    readonly_fields: ClassVar[Any] = (
        "status_now",
        "connection_name",
        "what",
        "signature",
        "times",
        "tries",
        "key",
        "shown_error",
        "shown_payload",
        "headers_table",
        "raw_body",
    )
    fieldsets: ClassVar[Any] = (
        (None, {"fields": readonly_fields[:8]}),
        ("What was sent", {"fields": readonly_fields[8:10]}),
        ("As it came", {"fields": readonly_fields[10:], "classes": ("collapse",)}),
    )
    buttons: tuple[Button, ...] = (
        Button("process-again", "Process again", "process_again", "Have a worker look at it now", is_main=True),
        Button("replay", "Replay (its effect happens again)", "replay", "It was processed: do it once more"),
    )
    heavy = ("body", "payload", "headers")
    Media = Assets
    change_list_template = "admin/integrations/dense_change_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.select_related("connection") if hasattr(self.model, "connection") else queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by the whole key, by the provider's part of it, or by number; each is a walk in an index."""
        return inbound_actions.find(queryset, search_term), False

    # -- columns ----------------------------------------------------------------------------------

    @admin.display(description="status")
    def state(self, obj: Any) -> Any:
        story = inbound_story(obj)
        return (
            format_html('{}<div class="ig-quiet">{}</div>', inbound_badge(obj), story) if story else inbound_badge(obj)
        )

    @admin.display(description="event type, action")
    def what(self, obj: Any) -> SafeString:
        event_type, action = harmless(obj.event_type), harmless(obj.action)
        below = action if event_type else ""
        first = format_html('<span class="ig-break">{}</span>', event_type or action or NOTHING)
        return format_html('{}<div class="ig-quiet">{}</div>', first, below) if below else first

    @admin.display(description="connection")
    def connection_name(self, obj: Any) -> Any:
        connection = getattr(obj, "connection", None)
        return format_html('{}<div class="ig-quiet">{}</div>', connection or NOTHING, obj.provider)

    @admin.display(description="received")
    def received(self, obj: Any) -> Any:
        return when(obj.received_at)

    @admin.display(description="attempts, copies")
    def copies(self, obj: Any) -> Any:
        if not obj.duplicates:
            return obj.attempts
        words = f"{obj.duplicates} more {'copy' if obj.duplicates == 1 else 'copies'}"
        return format_html('{}<div class="ig-quiet">{}</div>', obj.attempts, words)

    @admin.display(description="error")
    def problem(self, obj: Any) -> Any:
        return short(harmless(obj.error))

    # -- detail -----------------------------------------------------------------------------------

    @admin.display(description="status")
    def status_now(self, obj: Any) -> SafeString:
        return format_html('{} <span class="ig-quiet">{}</span>', inbound_badge(obj), inbound_story(obj))

    @admin.display(description="signature")
    def signature(self, obj: Any) -> Badge:
        if obj.signature_valid:
            return Badge("ok", "✓ Valid")
        return Badge("bad", "✗ Not valid", "It is kept for you to see, and never processed.")

    @admin.display(description="times")
    def times(self, obj: Any) -> str:
        parts = [f"received {exact(obj.received_at)}"]
        if obj.processed_at:
            parts.append(f"processed {exact(obj.processed_at)}")
        if obj.next_attempt_at:
            parts.append(f"next look {exact(obj.next_attempt_at)}")
        return " · ".join(parts)

    @admin.display(description="attempts")
    def tries(self, obj: Any) -> str:
        more = (
            f", and {obj.duplicates} further cop{'y' if obj.duplicates == 1 else 'ies'} came" if obj.duplicates else ""
        )
        return f"{obj.attempts}{more}"

    @admin.display(description="key")
    def key(self, obj: Any) -> SafeString:
        return format_html('<code class="ig-break">{}</code>', harmless(obj.idempotency_key))

    @admin.display(description="error")
    def shown_error(self, obj: Any) -> str:
        return harmless(obj.error) or NOTHING

    @admin.display(description="payload")
    def shown_payload(self, obj: Any) -> Any:
        return shown_json(obj.payload, inbound_actions.secrets_of(obj))

    @admin.display(description="headers")
    def headers_table(self, obj: Any) -> Any:
        return shown_headers(obj.headers, inbound_actions.secrets_of(obj))

    @admin.display(description="raw body")
    def raw_body(self, obj: Any) -> Any:
        return shown_body(obj.body, inbound_actions.secrets_of(obj))

    # -- actions ----------------------------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._note_deleted([obj])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._note_deleted(queryset.defer(*self.heavy))
        super().delete_queryset(request, queryset)

    def _note_deleted(self, rows: Iterable[Any]) -> None:
        record_rows(DELETED, rows, noun="webhooks")

    def buttons_of(self, request: HttpRequest, obj: Any) -> tuple[Button, ...]:
        if not self.buttons:
            return ()
        again, replay = self.buttons
        if not obj.signature_valid or obj.status == Status.DUPLICATE:
            return ()
        if obj.status != Status.PROCESSED and obj.next_attempt_at is not None and switched_off(obj):
            return ()  # a worker would only put it off
        return (replay,) if obj.status == Status.PROCESSED else (again,)

    @admin.action(permissions=["operate"], description="Process again (what failed or waits)")
    def process_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, inbound_actions.process_again)

    @admin.action(permissions=["operate"], description="Replay (what was processed: its effect happens again)")
    def replay(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, inbound_actions.replay)

    def _act(self, request: HttpRequest, queryset: QuerySet[Any], action: Any) -> None:
        done = action(queryset, partial(self.may_operate, request))
        for obj in done.rows:
            self.log_change(request, obj, done.did.capitalize() + ".")
        messages.add_message(request, messages.SUCCESS if done.count else messages.WARNING, str(done))
